"""``--epochs`` and ``--iters``: the whole schedule of a config, made longer or shorter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from mmengine.config import Config

from ..errors import SeMmError
from ..utils.type_names import type_name
from .loaders import datasets_of
from .tree import nodes

#: Arguments of hooks that count epochs.
_EPOCHS = ('switch_epoch', 'begin_epoch', 'action_epoch', 'begin_iter', 'start_epoch', 'num_last_epochs')
#: The largest share of the training that a warm-up by iterations may take.
_MOST_WARMUP = 0.1
#: The least part of an epoch in a schedule by iterations, where the batches of an epoch are not known.
_LEAST = 0.1
#: What raises the rate to that of the config, and ends.
_WARMUPS = ('LinearLR', 'ConstantLR', 'QuadraticWarmupLR')
_LENGTHS = ('begin', 'end', 'T_max', 'step_size', 'total_steps', 'total_iters', 'patience', 'cooldown')


def set_length(
    cfg: Config,
    epochs: int | None = None,
    iters: int | None = None,
    pictures_in: Callable[[Mapping[str, Any]], int | None] = lambda dataset: None,
) -> list[str]:
    """Trains for so many epochs or iterations, with the shape of the config's schedule.

    Steps of the learning rate, cosines, switches of the augmentation, intervals of validations and checkpoints
    keep their share of the training. A warm-up that is counted in iterations stays, up to a tenth of it; one of a
    single step goes.

    Args:
        cfg: changed in place.
        epochs: for a config that counts epochs.
        iters: for one that counts iterations; one that counts epochs then counts iterations too.
        pictures_in: says how many pictures a data set names, ``None`` where it cannot be said.

    Returns:
        What changed, for the user.

    Raises:
        SeMmError: if the number is below 1, or the config counts the other.

    Example:
        >>> cfg = Config(dict(train_cfg=dict(max_epochs=12, val_interval=1), train_dataloader={},
        ...                   param_scheduler=dict(type='MultiStepLR', milestones=[8, 11], end=12)))
        >>> set_length(cfg, epochs=24)
        ['24 epochs in place of 12: MultiStepLR at 16, 22']
    """
    if epochs is None and iters is None:
        return []
    option, new, unit = ('--epochs', epochs, 'epochs') if iters is None else ('--iters', iters, 'iterations')
    loop = _loop_to_change(cfg.get('train_cfg'), option, new)
    by_epoch = loop.get('max_iters') is None
    old = loop['max_epochs' if by_epoch else 'max_iters']
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or [])]
    schedulers = [node for _, node in nodes(cfg.get('param_scheduler')) if isinstance(node.get('type'), (str, type))]
    if becomes_iterations := by_epoch and unit == 'iterations':
        _refuse_epochs(loop, hooks)
    batches = _batches_of_an_epoch(cfg.get('train_dataloader') or {}, pictures_in) if unit == 'epochs' else 1
    least = 2 / batches if batches else _LEAST  # two, since pictures without boxes may be left out
    for scheduler in schedulers:
        plateau = becomes_iterations and 'monitor' in scheduler  # counts validations in any loop
        if scheduler.get('by_epoch', True) == by_epoch and not plateau:
            if becomes_iterations:
                scheduler.pop('convert_to_iter_based', None)
                scheduler['by_epoch'] = False
            _scale_scheduler(scheduler, new / old, new, least)
    notes = _cap_warmups(schedulers, int(_MOST_WARMUP * new * batches) if batches else math.inf)
    if cfg.get('param_scheduler'):
        cfg.param_scheduler = _lasting(cfg.param_scheduler)
    if becomes_iterations:
        _count_iterations(cfg, new, new / old)
    else:
        loop['max_epochs' if by_epoch else 'max_iters'] = new
        _scale_loop(loop, new / old, new)
        _scale_hooks(hooks, (cfg.get('default_hooks') or {}).get('checkpoint') or {}, new / old, new)
    steps = (f': {type_name(s)} at {", ".join(map(str, s["milestones"]))}' for s in schedulers if s.get('milestones'))
    return [f'{new} {unit} in place of {old}{" epochs" if becomes_iterations else ""}{next(steps, "")}', *notes]


def _loop_to_change(loop: MutableMapping[str, Any] | None, option: str, new: int) -> MutableMapping[str, Any]:
    """A config's ``train_cfg``, where it can be given such a length."""
    if new < 1:
        raise SeMmError(f'{option} is {new}; expected a whole number above 0')
    if not loop:
        raise SeMmError(f'{option}: the config does not train, it has no train_cfg')
    if option == '--epochs' and loop.get('max_iters') is not None:
        raise SeMmError(f'--epochs: this config counts iterations (max_iters={loop["max_iters"]}); use --iters')
    return loop


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
    if 'milestones' in scheduler:  # whole numbers strictly between the start and the end, each once
        steps = {min(max(round(step * factor), 1), new - 1) for step in scheduler['milestones']}
        scheduler['milestones'] = sorted(steps - {0})
    if 'periods' in scheduler:
        scheduler['periods'] = [max(1, round(period * factor)) for period in scheduler['periods']]


def _lasting(schedulers: Any) -> Any:
    """The schedulers of a config without those that have no length or no steps, which mmengine refuses."""
    if isinstance(schedulers, (list, tuple)):
        return [scheduler for scheduler in schedulers if _lasting(scheduler)] or None
    has_length = schedulers.get('begin', 0) < schedulers.get('end', math.inf)
    return schedulers if has_length and schedulers.get('milestones', True) != [] else None


def _cap_warmups(schedulers: list[MutableMapping[str, Any]], most: float) -> list[str]:
    """Shortens warm-ups by iterations, and lets what begins at their end begin there.

    One of a single step goes: mmengine reaches the full rate at the last step of a warm-up, and so would never.
    """
    said = []
    for warmup in schedulers:
        old, by_epoch = warmup.get('end', math.inf), warmup.get('by_epoch', True)
        if type_name(warmup) not in _WARMUPS or warmup.get('begin') or old == math.inf:
            continue
        end = old if by_epoch else min(old, most)
        end = 0 if end < 2 and not warmup.get('convert_to_iter_based') else end
        if end == old:
            continue
        for scheduler in schedulers:
            if scheduler.get('begin') == old and scheduler.get('by_epoch', True) == by_epoch:
                scheduler['begin'] = end
        warmup['end'] = end
        said.append(f'warm-up: {end or "no"} {"epochs" if by_epoch else "iterations"} in place of {old}')
    return said


def _batches_of_an_epoch(
    loader: Mapping[str, Any], pictures_in: Callable[[Mapping[str, Any]], int | None]
) -> int | None:
    """How many batches a training set makes at the least; ``None`` where it cannot be said."""
    counts = [pictures_in(dataset) for dataset in datasets_of(loader)]
    if None in counts or not sum(counts):
        return None
    return max(1, sum(counts) // int(loader.get('batch_size') or 1))


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


def _scale_hooks(hooks: list[Any], checkpoint: MutableMapping[str, Any], factor: float, new: int) -> None:
    for _, node in nodes(hooks):
        for key in _EPOCHS:
            if isinstance(node.get(key), int) and node[key] > 0:
                node[key] = min(max(round(node[key] * factor), 1), max(new - 1, 1))
    if isinstance(checkpoint.get('interval'), int) and checkpoint['interval'] > 0:
        checkpoint['interval'] = max(1, min(checkpoint['interval'], round(checkpoint['interval'] * factor) or 1, new))


def _refuse_epochs(loop: Mapping[str, Any], hooks: list[Any]) -> None:
    """Refuses a loop over iterations where something else would still wait for an epoch."""
    counting = sorted({type_name(hook) for hook in hooks for _, node in nodes(hook) if any(map(node.get, _EPOCHS))})
    counting = counting or (['train_cfg.dynamic_intervals'] if loop.get('dynamic_intervals') else [])
    if counting:
        raise SeMmError(f'--iters: {", ".join(counting)} of this config counts epochs; use --epochs')


def _count_iterations(cfg: Config, new: int, factor: float) -> None:
    """Turns the loop and the hooks of a config that counts epochs into those of one that counts iterations."""
    loop, hooks = cfg.train_cfg, cfg.get('default_hooks') or {}
    for key in ('max_epochs', 'by_epoch'):
        loop.pop(key, None)
    for key in ('val_interval', 'val_begin'):
        if isinstance(loop.get(key), (int, float)) and loop[key] > (key == 'val_begin'):
            loop[key] = max(1, min(new, round(loop[key] * factor)))
    loop.update(type='IterBasedTrainLoop', max_iters=new)
    if checkpoint := hooks.get('checkpoint'):
        interval = max(checkpoint.get('interval', 1), 1)
        checkpoint.update(by_epoch=False, interval=max(1, min(new, round(interval * factor))))
    if logger := hooks.get('logger'):
        logger['interval'] = max(1, min(logger.get('interval', 10), new))
    cfg.log_processor = {**(cfg.get('log_processor') or {'type': 'LogProcessor', 'window_size': 50}), 'by_epoch': False}
