"""Finished trainings, read from their work_dirs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config.pretrained import named_weights
from ..config.tree import nodes
from ..errors import SeMmError, listed
from ..evaluation.metrics import find_metric, in_points

#: Written by :mod:`se_mm.engine.hooks.curves`.
VALIDATIONS = 'validations.json'
#: Where a comparison keeps what ``tools/test.py --out`` wrote.
PREDICTIONS = 'predictions.json'
_SCALARS = '*/vis_data/scalars.json'
#: Parts of a config that make a training what it is.
_SETUP = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr')
#: Keys that say where something is, not what.
_PLACES = ('data_root', 'ann_file', 'init_cfg', 'pretrained', 'num_workers', 'persistent_workers', '_scope_')


@dataclass
class Run:
    """A training that left its config and its metrics.

    Attributes:
        work_dir: the folder.
        cfg: what it ran with, as mmengine wrote it there.
        validations: ``epoch``, ``iter`` and the metrics of each validation.
    """

    work_dir: Path
    cfg: Config
    validations: list[dict[str, Any]]

    @property
    def seed(self) -> int | None:
        """The seed; that in the name of the folder (``seed_3``) where the config has none."""
        seed = (self.cfg.get('randomness') or {}).get('seed')
        named = re.fullmatch(r'.*?seed_?(\d+)', self.work_dir.name)
        return seed if seed is not None else int(named[1]) if named else None

    @property
    def by_epoch(self) -> bool:
        """Whether its length is in epochs."""
        loop = self.cfg.train_cfg
        return 'max_epochs' in loop

    @property
    def length(self) -> int:
        """Of the whole training, in its own unit."""
        loop = self.cfg.train_cfg
        return loop.max_epochs if self.by_epoch else loop.max_iters

    @property
    def done(self) -> int:
        """How far the last validation was, in the same unit."""
        return self.validations[-1]['epoch' if self.by_epoch else 'iter']

    @property
    def is_finished(self) -> bool:
        """Whether the last validation was at the end."""
        return self.done >= self.length

    def metric_named(self, name: str | None) -> str:
        """The whole name of a metric.

        Args:
            name: with or without its prefix; ``None``: the first of the usual ones that it has.

        Raises:
            SeMmError: if no validation has it.
        """
        there = [key for key in self.validations[-1] if key not in ('epoch', 'iter')]
        found = find_metric(there, name)
        if found is None:
            raise SeMmError(
                f'{self.work_dir} has no metric {name or "of a kind that is known"}; it has {listed(there, 20)}'
            )
        return found

    def figure(self, metric: str) -> float:
        """A metric at the end, in per cent or points of AP.

        Raises:
            SeMmError: if it is pycocotools' -1, for want of such objects.
        """
        value = self.validations[-1][metric]
        if value < 0:
            raise SeMmError(f'{self.work_dir}: {metric} is {value:g}: its validation set has no such objects')
        return in_points(metric, value)

    @property
    def weights(self) -> dict[str, str]:
        """The weights that it started from, by the keys that name them."""
        return named_weights(_as_started(self.work_dir, self.cfg))

    @cached_property
    def processes(self) -> int:
        """Of how many it was, as mmengine's log says; 1 where there is no log."""
        for log in sorted(self.work_dir.glob('*/*.log')):
            found = re.search(r'GPU number: (\d+)', log.read_text(errors='replace')[:20_000])
            if found:
                return int(found[1])
        return 1

    @property
    def batch_size(self) -> int:
        """Images of a step, of all processes."""
        accumulated = self.cfg.optim_wrapper.get('accumulative_counts', 1)
        return self.cfg.train_dataloader.batch_size * self.processes * accumulated


def read_run(work_dir: Path) -> Run:
    """A training from its work_dir, by our tools or mmengine's own.

    Raises:
        SeMmError: if the config or the metrics are missing or cannot be read.
    """
    config = config_in(work_dir)
    if config is None:
        raise SeMmError(f'{work_dir} is no work_dir of a training: it holds no config (*.py) that mmengine wrote')
    try:
        # The modules that it imports are not needed to read it.
        cfg = Config.fromfile(config, import_custom_modules=False)
        validations = _validations(work_dir)
    except Exception as error:  # a config is code, and a file may be cut off
        raise SeMmError(f'{work_dir} cannot be read: {type(error).__name__}: {error}') from error
    missing = [key for key in ('model', 'train_cfg', 'train_dataloader') if not cfg.get(key)]
    if missing:
        raise SeMmError(f'{config} is not the config of a training: it has no {", ".join(missing)}')
    if not validations:
        raise SeMmError(
            f'{work_dir} has no log of a validation: neither {VALIDATIONS} nor {_SCALARS}; it ended before the first'
        )
    return Run(work_dir, cfg, validations)


def config_in(work_dir: Path) -> Path | None:
    """The config that a training left: mmengine writes it beside the checkpoints, and with each start's log."""
    beside = sorted(work_dir.glob('*.py'), key=lambda file: file.stat().st_mtime)
    return beside[-1] if beside else next(reversed(_of_starts(work_dir)), None)


def _of_starts(work_dir: Path) -> list[Path]:
    """The config of each start, the oldest first: the folders are named by the time."""
    return sorted(work_dir.glob('*/vis_data/config.py'))


def _as_started(work_dir: Path, cfg: Config) -> Config:
    """The config of the last start from the beginning: one that resumes names no weights."""
    for file in reversed(_of_starts(work_dir)):
        start = Config.fromfile(file, import_custom_modules=False)
        if not start.get('resume'):
            return start
    return cfg


def _validations(work_dir: Path) -> list[dict[str, Any]]:
    file = work_dir / VALIDATIONS
    if file.is_file():
        return json.loads(file.read_text())
    found: dict[int, dict[str, Any]] = {}
    for scalars in sorted(work_dir.glob(_SCALARS)):
        for line in scalars.read_text().splitlines():
            entry = json.loads(line)
            metrics = {key: value for key, value in entry.items() if '/' in key and isinstance(value, (int, float))}
            if metrics and 'lr' not in entry:  # a training's lines have the rate
                found[entry['step']] = {'epoch': entry['step'], 'iter': entry['step'], **metrics}
    return [found[step] for step in sorted(found)]


def differences(first: Config, second: Config) -> dict[str, tuple[Any, Any]]:
    """Where two trainings differ, by dotted keys; where their files are, and what they start from, is left out.

    Example:
        >>> plain, se = (Config(dict(model=dict(backbone=dict(type=t, depth=18)))) for t in ('ResNet', 'SEResNet'))
        >>> differences(plain, se)
        {'model.backbone.type': ('ResNet', 'SEResNet')}
    """
    one, other = (dict(_leaves({key: cfg.get(key) for key in _SETUP})) for cfg in (first, second))
    keys = [*one, *(key for key in other if key not in one)]
    return {key: (one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}


def _leaves(tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Every value that holds no dictionary, by its dotted key."""
    found = []
    for keys, node in nodes(tree):
        if any(key in _PLACES for key in keys):
            continue
        for key, value in node.items():
            if key not in _PLACES and next(iter(nodes(value)), None) is None:
                found.append(('.'.join(map(str, (*keys, key))), _as_lists(value)))
    return found


def _as_lists(value: Any) -> Any:
    """Without tuples, which a config that was written and read again may have in their place."""
    return [_as_lists(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def runs_in(folder: Path) -> tuple[dict[int, Run], list[str]]:
    """The finished trainings below a folder, by their seeds, and what is said of the others.

    Raises:
        SeMmError: if the seed of one is not known, or two have the same.
    """
    found: dict[int, Run] = {}
    others = []
    for work_dir in sorted(path for path in folder.iterdir() if path.is_dir() and config_in(path)):
        try:
            run = read_run(work_dir)
            check_finished([run])
        except SeMmError as error:
            others.append(f'left out: {error}')
            continue
        if run.seed is None:
            raise SeMmError(f'{work_dir}: the seed of this training is not known; name the folder seed_N')
        if run.seed in found:
            raise SeMmError(f'{work_dir} and {found[run.seed].work_dir} have the same seed, {run.seed}')
        found[run.seed] = run
    return found, others


def check_finished(runs: Sequence[Run]) -> None:
    """Refuses trainings that are not over.

    Raises:
        SeMmError: if one is cut off.
    """
    for run in runs:
        if not run.is_finished:
            unit = 'epochs' if run.by_epoch else 'iterations'
            raise SeMmError(
                f'{run.work_dir} is not finished: {run.done} of {run.length} {unit}; tools/train.py --resume goes on'
            )
