"""Trainings, read from their work_dirs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...config.pretrained import named_weights
from ...errors import SeMmError, listed
from ...evaluation.metrics import find_metric, in_points

#: Written by :mod:`se_mm.engine.hooks.curves`.
VALIDATIONS = 'validations.json'


@dataclass
class Run:
    """A training that left its config."""

    work_dir: Path
    cfg: Config  # as mmengine wrote it there
    validations: list[dict[str, Any]]  # of each ``epoch``, ``iter`` and the metrics
    weights: dict[str, str]  # that it started from, by the keys that name them
    knows_weights: bool  # whether its first start left a config; one that resumes names no weights

    @property
    def seed(self) -> int | None:
        """The seed; that in the name of the folder (``seed_3``) where the config has none."""
        seed = (self.cfg.get('randomness') or {}).get('seed')
        named = re.fullmatch(r'.*?seed_?(\d+)', self.work_dir.name)
        return seed if seed is not None else int(named[1]) if named else None

    @property
    def unit(self) -> str:
        """Of its length: ``'epoch'`` or ``'iter'``."""
        return 'epoch' if 'max_epochs' in self.cfg.train_cfg else 'iter'

    @property
    def length(self) -> int:
        """Of the whole training."""
        return self.cfg.train_cfg[f'max_{self.unit}s']

    @property
    def done(self) -> int:
        """Where the last validation was."""
        return self.validations[-1][self.unit] if self.validations else 0

    def check_finished(self) -> None:
        """Raises a :class:`SeMmError` where the training has no validation at its end."""
        if not self.validations:
            raise SeMmError(
                f'{self.work_dir} has no log of a validation: neither {VALIDATIONS} nor */vis_data/scalars.json; it '
                'ended before the first, or its config has no validation'
            )
        where = f'{self.done} of {self.length} {self.unit}s'
        if self.done > self.length:
            raise SeMmError(f'{self.work_dir} has the files of two trainings: validated after {where}')
        if self.done < self.length:
            raise SeMmError(f'{self.work_dir} is not finished: {where}; tools/train.py --resume goes on')

    def metric_named(self, name: str | None) -> str:
        """The whole name of a metric, given as for :func:`~se_mm.evaluation.metrics.find_metric`.

        Raises:
            SeMmError: if the last validation lacks it.
        """
        there = [key for key in self.validations[-1] if key not in ('epoch', 'iter')]
        if found := find_metric(there, name):
            return found
        raise SeMmError(
            f'{self.work_dir} has no metric {name or "of a kind that is known"}; it has {listed(there, 20)}'
        )

    def figure(self, metric: str) -> float:
        """A metric at the end, in per cent or points of AP.

        Raises:
            SeMmError: if it is no number, or pycocotools' -1, for want of such objects.
        """
        value = self.validations[-1][metric]
        if not math.isfinite(value):
            raise SeMmError(f'{self.work_dir}: {metric} is {value}')
        if value < 0:
            raise SeMmError(f'{self.work_dir}: {metric} is {value:g}: its validation set has no such objects')
        return in_points(metric, value)

    def curve(self, metric: str) -> dict[int, float]:
        """A metric in points after each epoch or iteration with a validation."""
        return {entry[self.unit]: in_points(metric, entry[metric]) for entry in self.validations if metric in entry}


def read_run(work_dir: Path) -> Run | None:
    """A training from its work_dir, by our tools or mmengine's own; ``None`` where there is no config.

    Of several trainings in one work_dir it is the last, with the starts that resumed it. Evaluations, and what ended
    before it logged anything, are left out where another start has logged.

    Raises:
        SeMmError: if its files cannot be read, or are not of a training.
    """
    try:
        starts = [(_config(d / 'config.py'), _lines(d / 'scalars.json')) for d in sorted(work_dir.glob('*/vis_data'))]
        starts = [start for start in starts if start[1]] or starts
        # Where a training began, and did not resume.
        first = max((i for i, (cfg, _) in enumerate(starts) if cfg is not None and not cfg.get('resume')), default=None)
        starts = starts[first or 0 :]
        cfg = next((cfg for cfg, _ in starts[::-1] if cfg is not None), None)
        if cfg is None:  # mmengine's copy beside the checkpoints, which an evaluation there overwrites
            file = max(work_dir.glob('*.py'), key=lambda file: file.stat().st_mtime, default=None)
            if file is None:
                return None
            cfg = Config.fromfile(file, import_custom_modules=False)
        missing = [key for key in ('model', 'train_cfg', 'train_dataloader') if not cfg.get(key)]
        if missing or not {'max_epochs', 'max_iters'} & cfg.train_cfg.keys():
            what = ', '.join(missing) or 'train_cfg.max_epochs or train_cfg.max_iters'
            raise SeMmError(f'the config in {work_dir} is not that of a training: it has no {what}')
        file = work_dir / VALIDATIONS
        validations = json.loads(file.read_text()) if file.is_file() else _logged(cfg, [lines for _, lines in starts])
        weights = named_weights(cfg if first is None else starts[0][0])
        return Run(work_dir, cfg, validations, weights, knows_weights=first is not None)
    except SeMmError:
        raise
    except Exception as error:  # a config is code, and a file may be cut off
        raise SeMmError(f'{work_dir} cannot be read: {type(error).__name__}: {error}') from error


def _config(file: Path) -> Config | None:
    try:
        return Config.fromfile(file, import_custom_modules=False)  # its modules are not needed to read it
    except Exception:  # a config is code, and a file may be cut off
        return None


def _lines(file: Path) -> list[dict[str, Any]]:
    lines = file.read_text().splitlines() if file.is_file() else []
    if lines and not lines[-1].endswith('}'):  # cut off with the training
        lines.pop()
    return [json.loads(line) for line in lines]


def _logged(cfg: Config, starts: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The validations in mmengine's own log; the one of epoch and iteration that the loop does not count is 0."""
    by_epoch = 'max_epochs' in cfg.train_cfg
    interval = cfg.train_cfg.get('val_interval', 1)
    found: dict[int, dict[str, Any]] = {}
    for lines in starts:
        trained = at = 0  # the last step of training that was logged, and the last validation
        for line in lines:
            metrics = {key: value for key, value in line.items() if '/' in key and isinstance(value, (int, float))}
            if 'lr' in line or not metrics:
                trained = line.get('step', 0)
                continue
            # mmengine logs the number of the epoch with it: 0 in a loop over iterations, where at must be found.
            if by_epoch or line['step']:
                at = line['step']
            else:
                at = min(max(math.ceil(trained / interval) * interval, at + interval), cfg.train_cfg.max_iters)
            found[at] = {'epoch': at if by_epoch else 0, 'iter': 0 if by_epoch else at, **metrics}
    return [found[step] for step in sorted(found)]


def runs_in(folder: Path) -> tuple[dict[int, Run], list[str]]:
    """The finished trainings below a folder, by their seeds, and why the others are left out.

    Raises:
        SeMmError: if the seed of one is not known, or two have the same.
    """
    found: dict[int, Run] = {}
    others = []
    for work_dir in sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()):
        try:
            run = read_run(work_dir)
            if run is None:
                continue
            run.check_finished()
        except SeMmError as error:
            others.append(f'left out: {error}')
            continue
        if run.seed is None:
            raise SeMmError(f'{work_dir}: the seed of this training is not known; name the folder seed_N')
        if run.seed in found:
            raise SeMmError(f'{work_dir} and {found[run.seed].work_dir} have the same seed, {run.seed}')
        found[run.seed] = run
    return found, others
