"""Norms that keep their statistics in the last epochs."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn

from ...errors import SeMmError
from ...registry import HOOKS

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@HOOKS.register_module()
class FrozenNormsHook(Hook):
    """Stops the statistics of BatchNorm in the last epochs, so that training and testing normalise alike.

    SENet-154 was trained so (Hu et al., arXiv 1709.01507, appendix, f). Scale and shift still learn: a parameter that
    stops to need a gradient in the middle of a training would stall ``DistributedDataParallel``.

    Args:
        num_last_epochs: how many epochs, counted from the end.

    Raises:
        SeMmError: if the number is below 1, or the training counts iterations.
    """

    def __init__(self, num_last_epochs: int) -> None:
        if num_last_epochs < 1:
            raise SeMmError(f'FrozenNormsHook: num_last_epochs must be 1 or more, got {num_last_epochs!r}')
        self.num_last_epochs = num_last_epochs

    def before_train(self, runner: Runner) -> None:
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            raise SeMmError('FrozenNormsHook counts epochs, and this training iterations; leave the hook out')

    def before_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        # Not before the epoch: after that the loop sets the whole model to training.
        if runner.epoch >= runner.max_epochs - self.num_last_epochs:
            for module in runner.model.modules():
                if isinstance(module, _NORMS):
                    module.eval()
