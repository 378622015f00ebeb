"""Optimizer wrappers that skip steps whose gradients are not finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper as _AmpOptimWrapper
from mmengine.optim import OptimWrapper as _OptimWrapper
from torch import Tensor, nn

from ..compat.foreach import largest_magnitudes
from ..registry import OPTIM_WRAPPERS


class SkippingOptimWrapper:
    """What the two wrappers share."""

    skipped = False  # whether the last step was
    nonfinite_params: Sequence[nn.Parameter] = ()  # those whose gradients were not finite
    tolerates = False  # whether that was expected: the gradient scaler is still lowering its scale

    def check_gradients(self) -> None:
        """Sets the attributes for the next step."""
        trained = [p for group in self.optimizer.param_groups for p in group['params'] if p.grad is not None]
        self.skipped = not all_finite([parameter.grad for parameter in trained])
        self.nonfinite_params = [p for p in trained if not all_finite([p.grad])] if self.skipped else ()


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(SkippingOptimWrapper, _OptimWrapper):
    """mmengine's, which skips a step if any gradient is not finite.

    Gradients are averaged over the processes of a training, so all of them skip the same steps.
    """

    def step(self, **kwargs: Any) -> None:
        self.check_gradients()
        if not self.skipped:
            super().step(**kwargs)


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(SkippingOptimWrapper, _AmpOptimWrapper):
    """mmengine's, whose gradient scaler skips such steps; records that it did."""

    def step(self, **kwargs: Any) -> None:
        self.check_gradients()  # the scaler looks for the same in the scaled gradients, and does not tell
        before = self.loss_scaler.get_scale() if self.skipped else 0.0
        super().step(**kwargs)
        self.tolerates = self.skipped and 1 <= self.loss_scaler.get_scale() < before


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether no tensor holds NaN or infinity.

    Example:
        >>> all_finite([torch.ones(3)]), all_finite([torch.ones(3), torch.tensor([1.0, float('nan')])])
        (True, False)
    """
    tensors = [tensor for tensor in tensors if tensor.numel()]
    if not tensors:
        return True
    magnitudes = largest_magnitudes(tensors)  # the L2 norm may overflow
    return bool(torch.stack([magnitude.float() for magnitude in magnitudes]).isfinite().all())
