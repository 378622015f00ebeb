"""Reports images that could not be read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...compat.runner import is_training
from ...datasets.validation.skipped import FILE, Skipped, noted
from ...errors import SeMmError, listed
from ...registry import HOOKS


@HOOKS.register_module()
class SkippedDataHook(Hook):
    """Names the images that could not be read, and stops a training that has too many of them.

    :class:`se_mm.datasets.transforms.loading.LoadImageFromFile` notes them in the work_dir.

    Args:
        most: the fraction of the training images that may be unreadable; above it training stops.
        interval: iterations between two checks.
    """

    priority = 'LOWEST'

    def __init__(self, most: float = 0.1, interval: int = 100) -> None:
        self.most = most
        self.interval = interval
        self._position = 0
        self._known: dict[Skipped, None] = {}  # in the order of their discovery
        self._noted_now: set[Skipped] = set()

    def before_run(self, runner: Runner) -> None:
        self._file = Path(runner.work_dir, FILE)
        self._splits = ('train', 'val') if is_training(runner) else ('test',)
        self._known.update(dict.fromkeys(self._read()))  # of a run that is resumed, and of the annotations

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self.after_train_epoch(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._report(runner)
        unreadable = [
            f'{entry.name} ({entry.reason})'
            for entry in self._known
            if entry in self._noted_now and (entry.split, entry.kind) == ('train', 'image')
        ]
        count = _images_in(runner.train_dataloader.dataset)
        if len(unreadable) > self.most * count:
            raise SeMmError(
                f'{len(unreadable)} of {count} train images cannot be read, more than {self.most:.1%}: '
                f'{listed(unreadable)}; all are named in {self._file}'
            )

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._report(runner)

    after_test_epoch = after_val_epoch

    def after_run(self, runner: Runner) -> None:
        if self._known:
            counts = Counter(f'{entry.kind}s of {entry.split}' for entry in self._known)
            each = ', '.join(f'{count} {what}' for what, count in counts.items())
            runner.logger.warning(f'left out of the data: {each}; each is named in {self._file}')

    def _report(self, runner: Runner) -> None:
        for entry in self._read():
            self._noted_now.add(entry)
            if entry not in self._known:
                self._known[entry] = None
                runner.logger.warning(f'{entry.split}: {entry.name} is left out: {entry.reason}')

    def _read(self) -> list[Skipped]:
        """What was noted since the last look, by any process: not all see the same disk."""
        found, self._position = noted(self._file, self._position)
        return [entry for part in all_gather_object(found) for entry in part if entry.split in self._splits]


def _images_in(dataset: Any) -> int:
    """How many images a data set reads: a wrapper may repeat them, or take some of them."""
    if hasattr(dataset, 'datasets'):
        return sum(map(_images_in, dataset.datasets))
    return min(len(dataset), _images_in(dataset.dataset)) if hasattr(dataset, 'dataset') else len(dataset)
