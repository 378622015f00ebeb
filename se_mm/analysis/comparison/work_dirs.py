"""What a training leaves in its work_dir, by our tools or mmengine's own: starts, configs and metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

#: Written by :mod:`se_mm.engine.hooks.curves`.
VALIDATIONS = 'validations.json'
SCALARS = 'vis_data/scalars.json'


@dataclass(frozen=True)
class Start:
    """A program that was started in a work_dir: mmengine gives it a folder, named by the time.

    Attributes:
        cfg: what it ran with; ``None`` if it left no config that can be read.
        lines: of its ``scalars.json``.
    """

    cfg: Config | None
    lines: list[dict[str, Any]]

    @property
    def is_first(self) -> bool:
        """Whether a training began here, and did not resume."""
        return self.cfg is not None and not self.cfg.get('resume')


def starts_of(work_dir: Path) -> list[Start]:
    """The starts of the last training in a work_dir, the oldest first.

    Those that resume belong to the one before. Evaluations, and what ended before it logged anything, are left out
    where another start has logged.
    """
    starts = [
        Start(_config(folder / 'config.py'), _lines(folder / 'scalars.json'))
        for folder in sorted(work_dir.glob('*/vis_data'))
    ]
    starts = [start for start in starts if start.lines] or starts
    first = max((i for i, start in enumerate(starts) if start.is_first), default=0)
    return starts[first:]


def _config(file: Path) -> Config | None:
    try:
        return Config.fromfile(file, import_custom_modules=False)
    except Exception:  # a config is code, and a file may be cut off
        return None


def _lines(file: Path) -> list[dict[str, Any]]:
    lines = file.read_text().splitlines() if file.is_file() else []
    if lines and not lines[-1].endswith('}'):  # cut off with the training
        lines.pop()
    return [json.loads(line) for line in lines]


def config_of(work_dir: Path, starts: Sequence[Start]) -> Config | None:
    """What a training ran with, ``None`` if no config is there.

    That of its last start, since mmengine's other copy beside the checkpoints is overwritten by an evaluation there.
    """
    found = [start.cfg for start in starts if start.cfg is not None]
    if found:
        return found[-1]
    file = max(work_dir.glob('*.py'), key=lambda file: file.stat().st_mtime, default=None)
    return file and Config.fromfile(file, import_custom_modules=False)


def is_work_dir(folder: Path) -> bool:
    """Whether a program of mmengine left a config in a folder."""
    return folder.is_dir() and any(any(folder.glob(pattern)) for pattern in ('*.py', '*/vis_data/config.py'))


def validations_of(work_dir: Path, starts: Sequence[Start], cfg: Config) -> list[dict[str, Any]]:
    """``epoch``, ``iter`` and the metrics of each validation; the one that the loop of the config does not count is 0.

    Args:
        work_dir: our own trainings leave them there in one file, which is read alone.
        starts: of the training.
        cfg: of the training.
    """
    file = work_dir / VALIDATIONS
    if file.is_file():
        return json.loads(file.read_text())
    by_epoch = 'max_epochs' in cfg.train_cfg
    interval = cfg.train_cfg.get('val_interval', 1)
    found: dict[int, dict[str, Any]] = {}
    for start in starts:
        trained = at = 0  # the last step of training that was logged, and the last validation
        for line in start.lines:
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
