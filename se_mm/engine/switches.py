"""Changes that ``tools/train.py`` makes to a config: its switches, and fault-tolerant loops, samplers and hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import get_world_size

from ..config.loaders import LOADERS
from ..config.pretrained import start_random
from ..config.tree import nodes
from ..datasets.transforms.loading import guard_images
from ..datasets.validation import skipped
from ..errors import SeMmError
from ..utils.console import say, warn
from ..utils.type_names import type_name
from .resume import resume as go_on

#: Seconds without a batch after which a worker counts as hung.
WORKER_TIMEOUT = 1800
#: numpy's generators take so many.
SEEDS = 2**32


def apply_training_switches(
    cfg: Config,
    *,
    accumulate: int | None = None,
    amp: bool = False,
    auto_scale_lr: bool | str | None = False,
    compile: bool = False,
    deterministic: bool = False,
    ema: float | None = None,
    lr: float | None = None,
    no_pretrained: bool = False,
    resume: str | None = None,
    seed: int | None = None,
    sync_bn: bool = False,
) -> None:
    """Applies the switches of ``tools/train.py`` to the config, in place.

    ``auto_scale_lr=None``, as on the command line, scales the learning rate where the config says for which batch it is
    (``auto_scale_lr.base_batch_size``) and ``lr`` is not given; ``'never'`` also turns off the config's own scaling.

    Raises:
        SeMmError: if a switch asks for what the config or the machine does not have.
    """
    if amp:
        if not torch.cuda.is_available():
            raise SeMmError('--amp needs a GPU: mmengine has mixed precision on accelerators only; leave it out here')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if accumulate is not None:
        if accumulate < 1:
            raise SeMmError(f'--accumulate is {accumulate}; expected the number of iterations a step, 1 or more')
        cfg.optim_wrapper.accumulative_counts = accumulate
    _set_rate(cfg, lr, auto_scale_lr)
    if sync_bn:
        if cfg.get('launcher', 'none') == 'none' or not torch.cuda.is_available():
            raise SeMmError('--sync-bn needs several processes with a GPU each: SyncBatchNorm runs on GPUs only')
        cfg.sync_bn = 'torch'
    _set_randomness(cfg, seed, deterministic)
    if no_pretrained:
        for line in start_random(cfg):
            say(line)
    if resume or cfg.get('resume'):
        go_on(cfg, resume or cfg.get('load_from') or 'auto')
    hooks = [*(cfg.get('custom_hooks') or []), dict(type='se_mm.CurvesHook')]
    if compile:
        hooks.append(dict(type='se_mm.CompileHook'))
    if ema is not None:
        hooks.append(_averaging(hooks, ema))
    cfg.custom_hooks = hooks


def _set_randomness(cfg: Config, seed: int | None, deterministic: bool) -> None:
    cfg.randomness = ConfigDict({'seed': None, **(cfg.get('randomness') or {})})
    randomness = cfg.randomness  # a config copies what it is given
    if seed is not None:
        randomness.seed = seed
    if deterministic:
        randomness.deterministic = True
    if not (randomness.seed is None or (isinstance(randomness.seed, int) and 0 <= randomness.seed < SEEDS)):
        raise SeMmError(f'the seed is {randomness.seed!r}; expected a whole number from 0 to {SEEDS - 1}')


def _set_rate(cfg: Config, lr: float | None, scaling: bool | str | None) -> None:
    """Sets the learning rate, and lets mmengine scale it where the images of a step are not the config's."""
    if lr is not None:
        if not (lr > 0 and 'lr' in (cfg.optim_wrapper.get('optimizer') or {})):
            raise SeMmError(f'--lr is {lr}; expected a number above 0, and a config with one optimizer')
        cfg.optim_wrapper.optimizer.lr = lr
    if (scaling == 'never' or (lr is not None and not scaling)) and cfg.get('auto_scale_lr'):
        cfg.auto_scale_lr.enable = False
    asked = scaling is True
    if not asked and (scaling is not None or lr is not None):
        return
    base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    if not base and asked:
        raise SeMmError('--auto-scale-lr needs `auto_scale_lr = dict(base_batch_size=...)` in the config')
    batch, processes = (cfg.get('train_dataloader') or {}).get('batch_size'), get_world_size()
    counts, optimizer = cfg.optim_wrapper.get('accumulative_counts', 1), cfg.optim_wrapper.get('optimizer') or {}
    if not (base and batch) or (batch * processes * counts == base and not asked):
        return
    cfg.auto_scale_lr.enable = True
    if rate := optimizer.get('lr'):
        images = batch * processes * counts
        why = '' if asked else '; --lr sets it, --no-scale-lr keeps it'
        say(f'learning rate {rate * images / base:g} for {images} images a step, from {rate:g} for {base}{why}')


#: The switches, with the values that change nothing.
SWITCHES = apply_training_switches.__kwdefaults__


def _averaging(hooks: list[Any], momentum: float) -> dict[str, Any]:
    """The hook of ``--ema``."""
    if any(name.endswith('EMAHook') for name in _names(hooks)):
        raise SeMmError(
            '--ema: the config averages its weights already, by an EMAHook in custom_hooks; set its momentum there'
        )
    if not 0 < momentum < 1:
        raise SeMmError(f'--ema is {momentum}; expected the share of the new weights in the average, as 0.0002')
    average = dict(ema_type='mmengine.MomentumAnnealingEMA', momentum=momentum, update_buffers=True)
    return dict(type='EMAHook', priority=49, **average)


def make_survivable(cfg: Config) -> None:
    """Replaces mmengine's loop, batch sampler, checkpoint hook and optimizer wrapper by ours.

    Classes of other projects are left alone, with a warning where that limits resuming.
    """
    if cfg.get('train_cfg') and cfg.get('train_dataloader'):
        _repeat_exactly(cfg.train_cfg, cfg.train_dataloader)
    wrapper = cfg.get('optim_wrapper') or ConfigDict()
    wrapper.setdefault('type', 'OptimWrapper')
    _replace(wrapper, 'OptimWrapper', 'AmpOptimWrapper')
    scaling, counts = cfg.get('auto_scale_lr') or {}, wrapper.get('accumulative_counts', 1)
    base = scaling.get('base_batch_size')
    if scaling.get('enable') and isinstance(base, int) and isinstance(counts, int) and counts > 1:
        # mmengine scales the learning rate with the batch, and leaves out how many batches make a step.
        scaling.base_batch_size = base / counts
    if scaling.get('enable') and isinstance(base, int) and isinstance(counts, int):
        factor = cfg.train_dataloader.batch_size * get_world_size() * counts / base
        for _, node in nodes(cfg.get('param_scheduler')):
            for key in {'eta_min', 'eta_max'} & node.keys() if type_name(node).endswith('LR') else ():
                node[key] *= factor  # which mmengine leaves, though they are rates
    cfg.default_hooks = cfg.get('default_hooks') or ConfigDict()
    _replace(
        cfg.default_hooks.setdefault('checkpoint', ConfigDict(type='CheckpointHook', interval=1)), 'CheckpointHook'
    )
    guard_data(cfg, 'SeedHook', 'NonFiniteHook', 'PreemptionHook')


def guard_data(cfg: Config, *hooks: str) -> None:
    """Skips and reports unreadable images, sets a timeout for workers, and adds hooks of ours by their names."""
    report = Path(cfg.work_dir, skipped.FILE).absolute()
    guard_images((cfg.get('train_dataloader'), cfg.get('custom_hooks')), 'another', 'train', report)
    for split in ('val', 'test'):
        guard_images(cfg.get(f'{split}_dataloader'), 'grey', split, report)
    guard_images(cfg.get('tta_pipeline'), 'grey', 'test', report)
    for loader in filter(None, map(cfg.get, LOADERS)):
        if loader.get('num_workers'):
            loader.setdefault('timeout', WORKER_TIMEOUT)
    present = cfg.get('custom_hooks') or []
    absent = [name for name in (*hooks, 'SkippedDataHook') if name not in _names(present)]
    cfg.custom_hooks = [*present, *(dict(type=f'se_mm.{name}') for name in absent)]


def _names(hooks: list[Any]) -> set[str]:
    return {type_name(hook) for hook in hooks if isinstance(hook, dict)}


def _replace(node: ConfigDict, *names: str) -> bool:
    """Gives a node the class of ours that has the name of mmengine's; whether it was one of these."""
    is_known = bool(node) and type_name(node) in names
    if is_known:
        node.type = f'se_mm.{type_name(node)}'
    return is_known


def _repeat_exactly(loop: ConfigDict, loader: ConfigDict) -> None:
    by_epoch = loop.pop('by_epoch', True)
    loop.setdefault('type', 'EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop')
    if not _replace(loop, 'EpochBasedTrainLoop', 'IterBasedTrainLoop'):
        warn(f'train_cfg.type is {type_name(loop)}: a resumed training is not the same as one that went through')
        return
    loader.batch_sampler = ConfigDict(
        type='se_mm.RepeatableBatchSampler',
        drop_last=loader.pop('drop_last', False),
        batches=loader.get('batch_sampler'),
        endless=type_name(loop) == 'IterBasedTrainLoop',
    )
