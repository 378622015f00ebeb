"""What mmengine's runner and loops have no public name for, or do differently in each version."""

from __future__ import annotations

from itertools import chain, islice, repeat
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import DataLoader


def is_training(runner: Runner) -> bool:
    """Whether the runner trains. Its training loop is built then alone, and the public ``train_loop`` builds it."""
    return isinstance(runner._train_loop, BaseLoop)


def unwrapped(runner: Runner) -> nn.Module:
    """The model, also where it is wrapped for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


class FromIteration:
    """The batches of an endless loader from an iteration on; skipping those before reads nothing.

    mmengine 0.10.7 draws the batches that it skips; onedl-mmengine calls ``skip_iter``.

    Args:
        loader: with a :class:`~se_mm.engine.repeatable.RepeatableBatchSampler`.
        iteration: the first that is trained on.
    """

    def __init__(self, loader: DataLoader, iteration: int) -> None:
        loader.batch_sampler.go_to(iteration, skip=iteration)
        self.batches = chain(repeat(None, iteration), loader)  # starts the workers when the first batch is asked for

    def skip_iter(self, count: int) -> None:
        next(islice(self.batches, count, count), None)

    def __next__(self) -> Any:
        return next(self.batches)
