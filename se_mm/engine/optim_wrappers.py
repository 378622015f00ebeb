"""Optimizer wrappers that skip steps whose gradients are not finite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper as _AmpOptimWrapper
from mmengine.optim import OptimWrapper as _OptimWrapper
from torch import Tensor, nn

from ..registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(_OptimWrapper):
    """mmengine's, which skips a step if any gradient is not finite.

    In distributed training the gradients are averaged over the processes, so all of them skip
    the same steps.

    Attributes:
        skipped: whether the last step was skipped.
        nonfinite_params: the parameters whose gradients are not finite.
    """

    skipped = False
    nonfinite_params: Sequence[nn.Parameter] = ()

    def step(self, **kwargs: Any) -> None:
        trained = _trained(self.optimizer)
        self.skipped = not all_finite([parameter.grad for parameter in trained])
        if self.skipped:
            self.nonfinite_params = _nonfinite(trained)
        else:
            super().step(**kwargs)

    @property
    def tolerates(self) -> bool:
        """Whether an overflow is expected: the gradient scaler is still lowering its scale."""
        return False


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(_AmpOptimWrapper):
    """mmengine's, whose gradient scaler skips such steps; records that it did."""

    skipped = False
    nonfinite_params: Sequence[nn.Parameter] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.optimizer.register_step_post_hook(self._has_stepped)

    def _has_stepped(self, *_: Any) -> None:
        self.skipped = False

    def step(self, **kwargs: Any) -> None:
        self.skipped = True
        super().step(**kwargs)
        if getattr(self.optimizer, '_step_supports_amp_scaling', False):  # a fused optimizer skips the step itself
            self.skipped = not all_finite([parameter.grad for parameter in _trained(self.optimizer)])
        if self.skipped:
            self.nonfinite_params = _nonfinite(_trained(self.optimizer))

    @property
    def tolerates(self) -> bool:
        return self._scale_update_param is None and self.loss_scaler.get_scale() >= 1


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether no tensor holds NaN or infinity.

    Example:
        >>> all_finite([torch.ones(3)]), all_finite([torch.ones(3), torch.tensor([1.0, float('nan')])])
        (True, False)
    """
    tensors = [tensor for tensor in tensors if tensor.numel()]
    if not tensors:
        return True
    largest = torch._foreach_norm(tensors, ord=float('inf'))  # the L2 norm may overflow
    return bool(torch.stack([norm.float() for norm in largest]).isfinite().all())


def _trained(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group['params'] if p.grad is not None]


def _nonfinite(parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if not all_finite([parameter.grad])]
