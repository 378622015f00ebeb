"""Changes that ``tools/train.py`` makes to a config: its switches, and fault-tolerant loops, samplers and hooks."""

from __future__ import annotations

import argparse
import logging
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from ..config.loaders import LOADERS as DATA_LOADERS
from ..config.loaders import datasets_of
from ..config.pretrained import without_pretrained
from ..datasets.transforms.loading import guard_images
from ..datasets.validation import skipped
from ..errors import SeMmError, listed
from ..utils.paths import existing_file
from ..utils.processes import of_main_process
from ..utils.type_names import type_name
from ..weights.files import read_checkpoint
from .hooks.checkpoint import latest_checkpoint, why_not_resumable

#: Classes of mmengine that are replaced by ours of the same name.
LOOPS = ('EpochBasedTrainLoop', 'IterBasedTrainLoop')
OPTIM_WRAPPERS = ('OptimWrapper', 'AmpOptimWrapper')
#: Seconds without a batch after which a worker counts as hung.
WORKER_TIMEOUT = 1800
#: numpy's generators take so many.
SEEDS = 2**32


def apply_training_switches(cfg: Config, args: argparse.Namespace) -> None:
    """Applies the switches of ``tools/train.py`` to the config.

    Raises:
        SeMmError: if a switch asks for what the config or the machine does not have.
    """
    if args.amp:
        _use_mixed_precision(cfg)
    if args.auto_scale_lr:
        if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
            raise SeMmError('--auto-scale-lr needs `auto_scale_lr = dict(base_batch_size=...)` in the config')
        cfg.auto_scale_lr.enable = True
    if args.accumulate is not None:
        if args.accumulate < 1:
            raise SeMmError(f'--accumulate is {args.accumulate}; expected the number of iterations a step, 1 or more')
        cfg.optim_wrapper.accumulative_counts = args.accumulate
    if args.sync_bn:
        if cfg.get('launcher', 'none') == 'none' or not torch.cuda.is_available():
            raise SeMmError(
                "--sync-bn needs several processes with a GPU each: torch's SyncBatchNorm runs on GPUs only"
            )
        cfg.sync_bn = 'torch'
    cfg.randomness = ConfigDict({'seed': None, **(cfg.get('randomness') or {})})
    if args.seed is not None:
        cfg.randomness.seed = args.seed
    seed = cfg.randomness.seed
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < SEEDS):
        raise SeMmError(f'the seed is {seed!r}; expected a whole number from 0 to {SEEDS - 1}')
    if args.deterministic:
        cfg.randomness.deterministic = True
    if args.no_pretrained:
        removed = without_pretrained(cfg.model)
        cfg.load_from = None
        print_log(f'--no-pretrained: random weights in place of {", ".join(removed) or "none that the config names"}')
    if args.resume or cfg.get('resume'):
        _resume(cfg, args.resume or cfg.get('load_from') or 'auto')
    hooks = [dict(type='se_mm.CurvesHook')]
    if args.compile:
        hooks.append(dict(type='se_mm.CompileHook'))
    if args.ema is not None:
        given = [hook for hook in cfg.get('custom_hooks') or [] if isinstance(hook, dict)]
        if any(type_name(hook).endswith('EMAHook') for hook in given):
            raise SeMmError(
                '--ema: the config averages its weights already, by an EMAHook in custom_hooks; set its momentum there'
            )
        if not 0 < args.ema < 1:
            raise SeMmError(f'--ema is {args.ema}; expected the share of the new weights in the average, as 0.0002')
        hooks.append(
            dict(
                type='EMAHook',
                ema_type='mmengine.MomentumAnnealingEMA',
                momentum=args.ema,
                update_buffers=True,
                priority=49,
            )
        )
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *hooks]


def _use_mixed_precision(cfg: Config) -> None:
    if not torch.cuda.is_available():
        raise SeMmError('--amp needs a GPU: mmengine has mixed precision on accelerators only; leave it out here')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def _resume(cfg: Config, checkpoint: str) -> None:
    found, seed, trained = of_main_process(lambda: _what_to_resume(cfg.work_dir, checkpoint))
    cfg.resume = bool(found)
    if not found:
        print_log(
            f'--resume: no checkpoint in {cfg.work_dir} to go on from; the training starts', level=logging.WARNING
        )
        return
    for dataset in datasets_of(cfg.get('train_dataloader')):
        classes = tuple((dataset.get('metainfo') or {}).get('classes') or ())
        if classes and trained and classes != trained:
            raise SeMmError(
                f'--resume: {found} was trained on the classes {listed(trained, 5)}, and the config has '
                f'{listed(classes, 5)}; name its classes, or start in another --work-dir'
            )
    cfg.load_from = found
    without_pretrained(cfg.model)  # what it would load is replaced at once, and need not be fetched
    if seed is not None:
        asked_for = cfg.randomness.seed
        if asked_for not in (None, seed):
            print_log(f'the seed stays {seed}, that of {found}; {asked_for} is not used', level=logging.WARNING)
        cfg.randomness.seed = seed


def _what_to_resume(work_dir: str, checkpoint: str) -> tuple[str | None, int | None, tuple[str, ...]]:
    """The file, and the seed and the classes of its training."""
    if checkpoint == 'auto':
        found = latest_checkpoint(work_dir)
    else:
        found = existing_file(checkpoint, 'checkpoint to resume from')
    if not found or '://' in found:
        return found, None, ()
    if wrong := why_not_resumable(found):
        raise SeMmError(f'{wrong}; start from it with --cfg-options load_from=...')
    meta = read_checkpoint(found)['meta']
    return found, meta.get('seed'), tuple((meta.get('dataset_meta') or {}).get('classes') or ())


def make_survivable(cfg: Config) -> None:
    """Replaces mmengine's loop, batch sampler, checkpoint hook and optimizer wrapper by ours.

    Classes of other projects are left alone, with a warning where that limits resuming.
    """
    _repeat_exactly(cfg)
    wrapper = cfg.get('optim_wrapper') or ConfigDict()
    wrapper.setdefault('type', 'OptimWrapper')
    _scale_with_accumulation(cfg.get('auto_scale_lr') or {}, wrapper.get('accumulative_counts', 1))
    if (name := type_name(wrapper)) in OPTIM_WRAPPERS:
        wrapper.type = f'se_mm.{name}'
    cfg.default_hooks = cfg.get('default_hooks') or ConfigDict()
    checkpoint = cfg.default_hooks.setdefault('checkpoint', ConfigDict(type='CheckpointHook', interval=1))
    if checkpoint and type_name(checkpoint) == 'CheckpointHook':
        checkpoint.type = 'se_mm.CheckpointHook'
    _add_hooks(cfg, 'SeedHook', 'NonFiniteHook', 'PreemptionHook')
    guard_data(cfg)


def _scale_with_accumulation(scaling: MutableMapping[str, Any], counts: int) -> None:
    """mmengine scales the learning rate with the batch, and leaves out how many batches make a step."""
    base = scaling.get('base_batch_size')
    if scaling.get('enable') and isinstance(base, int) and isinstance(counts, int) and counts > 1:
        print_log(f'the learning rate is scaled from {base} images a step to those of {counts} batches')
        scaling['base_batch_size'] = base / counts


def guard_data(cfg: Config) -> None:
    """Skips and reports unreadable images, and sets a timeout for workers."""
    report = Path(cfg.work_dir, skipped.FILE).absolute()
    guard_images((cfg.get('train_dataloader'), cfg.get('custom_hooks')), 'another', 'train', report)
    for split in ('val', 'test'):
        guard_images(cfg.get(f'{split}_dataloader'), 'grey', split, report)
    guard_images(cfg.get('tta_pipeline'), 'grey', 'test', report)
    for loader in DATA_LOADERS:
        if cfg.get(loader) and cfg[loader].get('num_workers'):
            cfg[loader].setdefault('timeout', WORKER_TIMEOUT)
    _add_hooks(cfg, 'SkippedDataHook')


def _add_hooks(cfg: Config, *names: str) -> None:
    present = {type_name(hook) for hook in cfg.get('custom_hooks') or [] if isinstance(hook, dict)}
    added = [dict(type=f'se_mm.{name}') for name in names if name not in present]
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *added]


def _repeat_exactly(cfg: Config) -> None:
    loop, loader = cfg.get('train_cfg'), cfg.get('train_dataloader')
    if not loop or not loader:
        return
    by_epoch = loop.pop('by_epoch', True)
    loop.setdefault('type', LOOPS[0] if by_epoch else LOOPS[1])
    name = type_name(loop)
    if name not in LOOPS:
        print_log(
            f'train_cfg.type is {name}: a resumed training is not the same as one that went through',
            level=logging.WARNING,
        )
        return
    loop.type = f'se_mm.{name}'
    loader.batch_sampler = ConfigDict(
        type='se_mm.RepeatableBatchSampler',
        drop_last=loader.pop('drop_last', False),
        batches=loader.get('batch_sampler'),
        endless=name == 'IterBasedTrainLoop',
    )
