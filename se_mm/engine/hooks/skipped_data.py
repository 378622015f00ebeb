"""Reports images that could not be read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...datasets.validation.skipped import FILE, Skipped, noted
from ...errors import SeMmError, listed
from ...registry import HOOKS


@HOOKS.register_module()
class SkippedDataHook(Hook):
    """Names the images that could not be read, and stops a training that has too many of them.

    :class:`se_mm.datasets.transforms.loading.LoadImageFromFile` notes them in the work_dir. A
    summary is logged at the end of the run.

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
        self._splits = ('train', 'val') if runner._train_loop is not None else ('test',)
        self._look(runner, say=False)  # of a run that is resumed, and of the annotations

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self._look(runner)
            self._stop_if_too_many(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._look(runner)
        self._stop_if_too_many(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._look(runner)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._look(runner)

    def after_run(self, runner: Runner) -> None:
        if self._known:
            counts = Counter(f'{entry.kind}s of {entry.split}' for entry in self._known)
            each = ', '.join(f'{count} {what}' for what, count in counts.items())
            runner.logger.warning(f'left out of the data: {each}; each is named in {self._file(runner)}')

    def _file(self, runner: Runner) -> Path:
        return Path(runner.work_dir, FILE)

    def _look(self, runner: Runner, say: bool = True) -> None:
        found, self._position = noted(self._file(runner), self._position)
        for entry in (entry for part in all_gather_object(found) for entry in part):  # not all see the same disk
            if entry.split not in self._splits:
                continue
            if say:
                self._noted_now.add(entry)
            if entry not in self._known:
                self._known[entry] = None
                if say:
                    runner.logger.warning(f'{entry.split}: {entry.name} is left out: {entry.reason}')

    def _stop_if_too_many(self, runner: Runner) -> None:
        unreadable = [
            f'{entry.name} ({entry.reason})'
            for entry in self._known
            if entry in self._noted_now and (entry.split, entry.kind) == ('train', 'image')
        ]
        count = _images_in(runner.train_dataloader.dataset)
        if len(unreadable) > self.most * count:
            raise SeMmError(
                f'{len(unreadable)} of {count} train images cannot be read, more than {self.most:.1%}: '
                f'{listed(unreadable)}; all are named in {self._file(runner)}'
            )


def _images_in(dataset: Any) -> int:
    """How many images a data set reads: a wrapper may repeat them, or take some of them."""
    if hasattr(dataset, 'datasets'):
        return sum(map(_images_in, dataset.datasets))
    return min(len(dataset), _images_in(dataset.dataset)) if hasattr(dataset, 'dataset') else len(dataset)
