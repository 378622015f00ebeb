"""BatchNorm with frozen statistics: as an affine map, and in place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...compat.torch_internals import BatchNorm, is_watched
from .eager import is_eager, is_recorded


def is_frozen(norm: nn.Module) -> bool:
    """Whether a norm is a BatchNorm with frozen statistics that nobody watches, and so an affine map."""
    if not isinstance(norm, BatchNorm) or norm.training or norm.running_var is None:
        return False
    own_forward = type(norm).forward not in (BatchNorm.forward, nn.SyncBatchNorm.forward)
    return not own_forward and not is_watched(norm)


def frozen_affine(norm: nn.Module) -> tuple[Tensor, Tensor] | None:
    """a and b of ``norm(v) = a v + b``, (C,) each, for a BatchNorm with frozen statistics; else ``None``."""
    return affine_of(norm) if is_frozen(norm) else None


def affine_of(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """a and b of a BatchNorm that has statistics, whether they are frozen or not."""
    a = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        a = a * norm.weight
    b = -norm.running_mean * a
    return a, b if norm.bias is None else norm.bias + b


def normalized(norm: nn.Module, v: Tensor) -> Tensor:
    """``norm(v)``, written over v where no gradient is recorded and nothing else looks.

    On a CPU most of a norm's time goes into the first touch of a new map. Here the same kernel
    is given v as its output, and gives the same result in every bit. What is not a BatchNorm in
    evaluation on a CPU, or has hooks, or is traced, is called as usual.

    Example:
        >>> v = torch.randn(1, 2, 3, 3)
        >>> with torch.no_grad():
        ...     normalized(nn.BatchNorm2d(2).eval(), v) is v
        True
    """
    can_be_written_over = (
        is_eager(v)  # first: what is traced has no values to decide by
        and is_frozen(norm)
        and not is_recorded(v, norm.weight, norm.bias)
        and v.device.type == 'cpu'
        and v.dtype == norm.running_var.dtype
    )
    if not can_be_written_over:
        return norm(v)
    saved = dict(save_mean=v.new_empty(0), save_invstd=v.new_empty(0))
    torch.ops.aten.native_batch_norm.out(
        v, norm.weight, norm.bias, norm.running_mean, norm.running_var, False, 0.0, norm.eps, out=v, **saved
    )
    return v
