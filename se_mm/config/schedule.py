"""``--epochs`` and ``--iters``: the whole schedule of a config, made longer or shorter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import SeMmError
from ..utils.type_names import type_name
from .coco_layout import read_coco
from .loaders import datasets_of
from .scene_layout import class_folders
from .tree import nodes

#: Arguments of hooks that count epochs.
_EPOCHS = ('switch_epoch', 'begin_epoch', 'action_epoch', 'begin_iter', 'start_epoch', 'num_last_epochs')
#: The largest share of the training that a warm-up by iterations may take.
_MOST_WARMUP = 0.1
#: The least part of an epoch in a schedule by iterations, where it cannot be said how many they are.
_LEAST = 0.1
_LENGTHS = ('begin', 'end', 'T_max', 'step_size', 'total_steps', 'total_iters', 'patience', 'cooldown')


def set_length(cfg: Config, epochs: int | None = None, iters: int | None = None) -> list[str]:
    """Trains for so many epochs or iterations, with the shape of the config's schedule.

    Steps of the learning rate, cosines, switches of the augmentation, intervals of validations
    and checkpoints stay where they are as shares of the training; steps stay strictly inside of it.
    A warm-up that is counted in iterations stays, up to a tenth of the training.

    Args:
        cfg: changed in place.
        epochs: for a config that counts epochs.
        iters: for one that counts iterations; one that counts epochs then counts iterations too.

    Returns:
        What changed, for the user.

    Raises:
        SeMmError: if the number is below 1, or the config counts the other.

    Example:
        >>> cfg = Config(dict(train_cfg=dict(max_epochs=12, val_interval=1), train_dataloader={},
        ...                   param_scheduler=dict(type='MultiStepLR', milestones=[8, 11], end=12)))
        >>> set_length(cfg, epochs=24)
        ['24 epochs in place of 12: MultiStepLR at 16, 22']
        >>> cfg.train_cfg.max_epochs, cfg.param_scheduler.milestones
        (24, [16, 22])
    """
    if epochs is None and iters is None:
        return []
    option, new = ('--epochs', epochs) if iters is None else ('--iters', iters)
    if new < 1:
        raise SeMmError(f'{option} is {new}; expected a whole number above 0')
    loop = cfg.get('train_cfg')
    if not loop:
        raise SeMmError(f'{option}: the config does not train, it has no train_cfg')
    old_epochs, old_iters = loop.get('max_epochs'), loop.get('max_iters')
    if iters is None and old_epochs is None:
        raise SeMmError(f'--epochs: this config counts iterations (train_cfg.max_iters={old_iters}); use --iters')
    if iters is not None and old_iters is None:
        _count_iterations(cfg, new)
        return [f'{new} iterations in place of {old_epochs} epochs{_steps(cfg)}']
    unit = 'epochs' if iters is None else 'iterations'
    old = old_epochs if iters is None else old_iters
    loop['max_epochs' if iters is None else 'max_iters'] = new
    batches = _batches_of_an_epoch(cfg) if iters is None else None
    least = 2 / batches if batches else _LEAST  # two, since pictures without boxes may be left out
    for scheduler in _schedulers(cfg):
        if scheduler.get('by_epoch', True) == (iters is None):
            _scale_scheduler(scheduler, new / old, new, least)
    said = _cap_warmup(cfg, new, batches if iters is None else 1)
    _drop_empty_schedulers(cfg)
    _scale_loop(loop, new / old, new)
    _scale_hooks(cfg, new / old, new)
    return [f'{new} {unit} in place of {old}{_steps(cfg)}', *said]


def _schedulers(cfg: Config) -> Iterator[MutableMapping[str, Any]]:
    """The schedulers of learning rate and momentum, of one optimizer or several."""
    for _, node in nodes(cfg.get('param_scheduler')):
        if isinstance(node.get('type'), (str, type)):
            yield node


def _steps(cfg: Config) -> str:
    steps = [s for s in _schedulers(cfg) if s.get('milestones')]
    return ''.join(f': {type_name(s)} at {", ".join(map(str, s["milestones"]))}' for s in steps[:1])


def _scale_scheduler(scheduler: MutableMapping[str, Any], factor: float, new: int, least: float) -> None:
    # By-epoch values that are turned into iterations may be fractions: mmengine multiplies and then rounds down.
    is_fine = scheduler.get('convert_to_iter_based')
    for key in _LENGTHS:
        value = scheduler.get(key)
        if isinstance(value, (int, float)) and 0 < value < math.inf:
            scaled = value * factor
            scheduler[key] = max(scaled, least) if is_fine and not scaled.is_integer() else round(scaled)
    if 'T_max' in scheduler and not is_fine:
        scheduler['T_max'] = max(1, scheduler['T_max'])
    if 'step_size' in scheduler:
        scheduler['step_size'] = max(1, round(scheduler['step_size']))
    if 'milestones' in scheduler:
        scheduler['milestones'] = _inside(scheduler['milestones'], factor, new)
    if 'periods' in scheduler:
        scheduler['periods'] = [max(1, round(period * factor)) for period in scheduler['periods']]


def _inside(milestones: list[int], factor: float, new: int) -> list[int]:
    """Steps as whole numbers strictly between the start and the end, each once."""
    return sorted({min(max(round(step * factor), 1), new - 1) for step in milestones} - {0})


def _drop_empty_schedulers(cfg: Config) -> None:
    """Drops schedulers of no length and those without steps, which mmengine refuses."""

    def lasts(scheduler: Any) -> bool:
        return scheduler.get('begin', 0) < scheduler.get('end', math.inf) and scheduler.get('milestones', True) != []

    if isinstance(cfg.get('param_scheduler'), (list, tuple)):
        cfg.param_scheduler = [scheduler for scheduler in cfg.param_scheduler if lasts(scheduler)] or None
    elif cfg.get('param_scheduler') and 'type' in cfg.param_scheduler and not lasts(cfg.param_scheduler):
        cfg.param_scheduler = None


def _cap_warmup(cfg: Config, new: int, batches: int | None) -> list[str]:
    """Shortens a warm-up by iterations where it would take more than a tenth of the training."""
    if batches is None:
        return []
    most = max(1, int(_MOST_WARMUP * new * batches))
    warmups = [
        scheduler
        for scheduler in _schedulers(cfg)
        if scheduler.get('by_epoch', True) is False
        and not scheduler.get('begin')
        and scheduler.get('end', math.inf) < math.inf
        and type_name(scheduler) in ('LinearLR', 'ConstantLR', 'QuadraticWarmupLR')
        and scheduler['end'] > most
    ]
    said = [f'warm-up: {most} iterations in place of {scheduler["end"]}' for scheduler in warmups]
    ends = {scheduler['end'] for scheduler in warmups}
    for scheduler in _schedulers(cfg):
        if scheduler.get('by_epoch', True) is False and scheduler.get('begin') in ends:
            scheduler['begin'] = most  # what begins where the warm-up ends
    for scheduler in warmups:
        scheduler['end'] = most
    return said


def _batches_of_an_epoch(cfg: Config) -> int | None:
    """How many batches the training set makes at the least; ``None`` where it cannot be said."""
    loader = cfg.get('train_dataloader') or {}
    counts = [_pictures_in(dataset) for dataset in datasets_of(loader)]
    if None in counts or not sum(counts):
        return None
    return max(1, sum(counts) // int(loader.get('batch_size') or 1))


def _pictures_in(dataset: Mapping[str, Any]) -> int | None:
    root, ann_file = Path(dataset.get('data_root') or ''), dataset.get('ann_file')
    if ann_file and (root / ann_file).is_file():
        if ann_file.endswith('.txt'):
            return len((root / ann_file).read_text().splitlines())
        content = read_coco(root / ann_file)
        return len(content['images']) if content else None
    prefix = dataset.get('data_prefix')
    folders = class_folders(root / prefix) if isinstance(prefix, str) and not ann_file else ()
    count = sum(len(list((root / prefix / name).iterdir())) for name in folders) or None
    first = dataset.get('indices')  # so many are taken of them
    return min(count, first) if count and isinstance(first, int) else count


def _scale_loop(loop: MutableMapping[str, Any], factor: float, new: int) -> None:
    if isinstance(loop.get('val_interval'), (int, float)):
        loop['val_interval'] = max(1, min(int(loop['val_interval']), round(loop['val_interval'] * factor), new))
    if isinstance(loop.get('val_begin'), int) and loop['val_begin'] > 1:
        loop['val_begin'] = min(max(round(loop['val_begin'] * factor), 1), new)
    if loop.get('dynamic_intervals'):
        loop['dynamic_intervals'] = [
            (min(max(round(begin * factor), 1), new), max(1, min(interval, new)))
            for begin, interval in loop['dynamic_intervals']
        ]


def _scale_hooks(cfg: Config, factor: float, new: int) -> None:
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or [])]
    for _, node in nodes(hooks):
        for key in _EPOCHS:
            if isinstance(node.get(key), int) and node[key] > 0:
                node[key] = min(max(round(node[key] * factor), 1), max(new - 1, 1))
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if isinstance(checkpoint.get('interval'), int) and checkpoint['interval'] > 0:
        checkpoint['interval'] = max(1, min(checkpoint['interval'], round(checkpoint['interval'] * factor) or 1, new))


def _count_iterations(cfg: Config, new: int) -> None:
    """Turns a config that counts epochs into one that counts iterations."""
    loop = cfg.train_cfg
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or [])]
    counting = sorted({type_name(hook) for hook in hooks for _, node in nodes(hook) if any(map(node.get, _EPOCHS))})
    counting = counting or (['train_cfg.dynamic_intervals'] if loop.get('dynamic_intervals') else [])
    if counting:
        raise SeMmError(f'--iters: {", ".join(counting)} of this config counts epochs; use --epochs')
    old = loop.pop('max_epochs')
    factor = new / old
    for scheduler in _schedulers(cfg):
        if scheduler.get('by_epoch', True) and 'monitor' not in scheduler:  # a plateau counts validations in any loop
            scheduler.pop('convert_to_iter_based', None)
            _scale_scheduler(scheduler, factor, new, 1)
            scheduler['by_epoch'] = False
    loop.pop('by_epoch', None)
    for key in ('val_interval', 'val_begin'):
        if isinstance(loop.get(key), (int, float)) and loop[key] > (key == 'val_begin'):
            loop[key] = max(1, min(new, round(loop[key] * factor)))
    loop.update(type='IterBasedTrainLoop', max_iters=new)
    _cap_warmup(cfg, new, 1)
    _drop_empty_schedulers(cfg)
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint')
    if checkpoint:
        interval = checkpoint.get('interval', 1)
        checkpoint.update(by_epoch=False, interval=max(1, min(new, round(max(interval, 1) * factor))))
    logger = (cfg.get('default_hooks') or {}).get('logger')
    if logger:
        logger['interval'] = max(1, min(logger.get('interval', 10), new))
    cfg.log_processor = {**(cfg.get('log_processor') or {'type': 'LogProcessor', 'window_size': 50}), 'by_epoch': False}


#: The keys that a switch of the command line sets.
_SWITCHES = {
    'epochs': ('train_cfg.max_epochs', 'param_scheduler'),
    'iters': ('train_cfg.max_iters', 'train_cfg.max_epochs', 'param_scheduler'),
    'batch_size': ('train_dataloader.batch_size',),
    'workers': ('train_dataloader.num_workers', 'train_dataloader.persistent_workers'),
}


def refuse_lengths_twice(options: Mapping[str, Any], switches: Mapping[str, Any]) -> None:
    """Whether ``--cfg-options`` sets what a switch sets too.

    Raises:
        SeMmError: if so; neither overrides the other.
    """
    for switch, value in switches.items():
        both = [key for key in options if value is not None and key.startswith(_SWITCHES.get(switch, ()))]
        if both:
            raise SeMmError(f'--{switch.replace("_", "-")} sets {", ".join(both)} already: leave one of them out')
