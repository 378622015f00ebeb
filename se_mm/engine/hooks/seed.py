"""Random numbers as a function of the seed and the iteration."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ..repeatable import seed_all


@HOOKS.register_module()
class SeedHook(Hook):
    """Seeds the random generators for each iteration, and again after a validation has drawn from them."""

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        seed_all(runner.seed, runner.rank, runner.iter, 0)

    def after_val_epoch(self, runner: Runner, **_: Any) -> None:
        seed_all(runner.seed, runner.rank, runner.iter, 0)
