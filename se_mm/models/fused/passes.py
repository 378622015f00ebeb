"""The passes over whole maps that the fused forms share: Triton kernels on a GPU, torch's operators elsewhere."""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from types import ModuleType

import torch
from torch import Tensor

from ..attention.operators import accumulated_in
from .eager import is_fake


def relu_gradient(
    grad: Tensor, out: Tensor, v: Tensor | None = None, centre: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """g' = grad where out > 0, and its sums over the positions of each channel.

    Args:
        grad: of the output of an activation, (N, C, H, W).
        out: the output.
        v: what g' is multiplied by.
        centre: what is taken off v before, (C,).

    Returns:
        g'; the sums of g' and of ``g' (v - centre)``, (N, C, 1, 1) each, in float32 at least; and a map
        that may be overwritten. The last two are ``None`` without v, the map also on a GPU.

    Example:
        >>> grad, out = torch.ones(1, 1, 1, 3), torch.tensor([0.0, 1.0, 2.0]).view(1, 1, 1, 3)
        >>> [part.flatten().tolist() for part in relu_gradient(grad, out, v=out + 1)[:3]]
        [[0.0, 1.0, 1.0], [2.0], [5.0]]
    """
    kernels = kernels_for(out)
    if kernels:
        return *kernels.relu_gradient_and_sums(grad, out, v, centre), None
    grad = torch.ops.aten.threshold_backward(grad, out, 0)
    alone = grad.sum((2, 3), keepdim=True, dtype=accumulated_in(grad))
    if v is None:
        return grad, alone, None, None
    product = grad * v if centre is None else torch.sub(v, centre.to(v.dtype)[..., None, None]).mul_(grad)
    return grad, alone, product.sum((2, 3), keepdim=True, dtype=accumulated_in(v)), product


def affine_sum(
    x: Tensor,
    slope: Tensor,
    offset: Tensor,
    y: Tensor | None = None,
    slope_y: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """``slope x + offset + slope_y y``, with numbers for each channel.

    Args:
        x: (N, C, H, W).
        slope: (N, C, 1, 1).
        offset: the same.
        y: a map as x.
        slope_y: (C,).
        out: a map that may be overwritten.

    Example:
        >>> x, two = torch.arange(3.0).view(1, 1, 1, 3), torch.full((1, 1, 1, 1), 2.0)
        >>> affine_sum(x, two, two, x, torch.ones(1)).flatten()
        tensor([2., 5., 8.])
    """
    kernels = kernels_for(x)
    if kernels:
        return kernels.affine_sum(x, slope, offset, y, slope_y, out=out)
    slope, offset = slope.to(x.dtype), offset.to(x.dtype)
    if y is None:
        return torch.addcmul(offset, x, slope, out=out)
    return torch.addcmul(offset, y, slope_y.to(y.dtype)[:, None, None], out=out).addcmul_(x, slope)


def layout_of(x: Tensor) -> torch.memory_format:
    """The layout of a map; a map of one position or channel, which has both, is contiguous."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format


def kernels_for(v: Tensor) -> ModuleType | None:
    """``triton_kernels`` for a map on a GPU; ``None`` elsewhere and where the kernels do not work.

    A fake tensor on a GPU has them wherever Triton is installed: nothing is launched for it.
    """
    return _working_kernels(None if is_fake(v) else v.device, v.dtype) if v.is_cuda else None


@cache
def _working_kernels(device: torch.device | None, dtype: torch.dtype) -> ModuleType | None:
    """The kernels, if they compile on a device and give there what torch's operators give."""
    try:
        kernels = import_module('.triton_kernels', __package__)
        if device is not None:
            kernels.check(device, dtype)
    except Exception as error:  # no Triton, no compiler for it, or a GPU that it does not know
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        warnings.warn(f"SE runs without its GPU kernels, on torch's operators: {reason}", stacklevel=2)
        return None
    return kernels
