"""The batches of a resumed loop, however an mmengine skips those before."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader


class FromIteration:
    """The batches of an endless loader from an iteration on; skipping those before reads nothing.

    mmengine 0.10.7 draws the batches that it skips; onedl-mmengine calls ``skip_iter``.

    Args:
        loader: with a :class:`~se_mm.engine.repeatable.RepeatableBatchSampler`.
        iteration: the first that is trained on.
    """

    def __init__(self, loader: DataLoader, iteration: int) -> None:
        loader.batch_sampler.go_to(iteration, skip=iteration)
        self.loader = loader
        self.batches = None
        self.to_skip = iteration

    def skip_iter(self, count: int) -> None:
        self.to_skip -= count

    def __next__(self) -> Any:
        if self.to_skip > 0:
            self.to_skip -= 1
            return None
        if self.batches is None:
            self.batches = iter(self.loader)
        return next(self.batches)
