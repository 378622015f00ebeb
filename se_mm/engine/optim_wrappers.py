"""mmengine's optimizer wrappers, which leave out steps whose gradients are not finite."""

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
    """mmengine's, which leaves out a step whose gradients are not all finite.

    In a distributed training the gradients are the mean over the processes, so all of them
    leave out the same steps.

    Attributes:
        skipped: whether the last step was left out.
        spoilt: the parameters whose gradients were the reason.
    """

    skipped = False
    spoilt: Sequence[nn.Parameter] = ()

    def step(self, **kwargs: Any) -> None:
        trained = _trained(self.optimizer)
        self.skipped = not all_finite([parameter.grad for parameter in trained])
        if self.skipped:
            self.spoilt = _spoilt(trained)
        else:
            super().step(**kwargs)

    @property
    def tolerates(self) -> bool:
        """Whether gradients may overflow while a loss scale is being looked for."""
        return False


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(_AmpOptimWrapper):
    """mmengine's, whose loss scaler leaves out such steps by itself, and which says so."""

    skipped = False
    spoilt: Sequence[nn.Parameter] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.optimizer.register_step_post_hook(self._has_stepped)

    def _has_stepped(self, *_: Any) -> None:
        self.skipped = False

    def step(self, **kwargs: Any) -> None:
        self.skipped = True
        super().step(**kwargs)
        if getattr(self.optimizer, '_step_supports_amp_scaling', False):  # a fused one leaves the step out by itself
            self.skipped = not all_finite([parameter.grad for parameter in _trained(self.optimizer)])
        if self.skipped:
            self.spoilt = _spoilt(_trained(self.optimizer))

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
    largest = torch._foreach_norm(tensors, ord=float('inf'))  # a sum of squares overflows where no number does
    return bool(torch.stack([norm.float() for norm in largest]).isfinite().all())


def _trained(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group['params'] if p.grad is not None]


def _spoilt(parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if not all_finite([parameter.grad])]
