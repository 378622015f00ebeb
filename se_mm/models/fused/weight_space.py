"""The tail of an SE bottleneck with its last 1x1 convolution, norm and gate as one small matrix per image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from ..attention.operators import accumulated_in, no_autocast
from . import passes
from .gradients import by_operators, recorded_gradients, through_small
from .passes import layout_of

#: A map of fewer positions is quicker through oneDNN's convolution than through a product of matrices, on a CPU.
_FEW_POSITIONS = 2048


def pays_in_weight_space(channels: int, height: int, width: int) -> bool:
    """Whether the matrices of a batch, N x C x K for K channels, are no larger than its maps, N x C x H x W."""
    return channels <= height * width


def weight_space_tail(
    z: Tensor,
    shortcut: Tensor,
    weight: Tensor,
    affine: tuple[Tensor, Tensor],
    excitation: Callable[..., Tensor],
    weights: tuple[Tensor | None, ...],
    overwrite: bool = False,
) -> Tensor:
    r"""``relu(shortcut + s * u)`` for ``u = a (W z) + b``, s the gate of u, without the map u.

    A 1x1 convolution and a norm with frozen statistics are linear, and a mean goes through both:

    .. math::
        s = \mathrm{excitation}(a\, W\, \mathrm{mean}(z) + b), \quad
        out = \mathrm{relu}(shortcut + (s a W)\, z + s b)

    So the gate is known before the convolution, and one matrix product per image, with the matrix
    ``diag(s a) W``, adds the branch to the shortcut. The backward needs z and the output, which the
    layers before and after keep anyway. With g the gradient of the output and g' = g (out > 0), the
    gradient of the matrix is ``g' z^T``; those of W, a, b, s and of the excitation follow from it.

    Args:
        z: what comes into the last convolution, (N, K, H, W).
        shortcut: (N, C, H, W); the output has the dtype of z, as where a shortcut is added in place.
        weight: W, (C, K, 1, 1).
        affine: a and b of the norm, (C,) each; a bias c of the convolution is part of b, as ``b + a c``.
        excitation: from the squeeze, (N, C, 1, 1), and ``weights`` to s, (N, C, 1, 1).
        weights: its parameters.
        overwrite: whether the output may take the memory of the shortcut.

    Example:
        >>> z, one = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2), torch.ones(1, 1, 1, 1)
        >>> affine = torch.ones(1), torch.zeros(1)
        >>> weight_space_tail(z, torch.ones_like(z), one, affine, lambda mean: mean / 4, ()).flatten()  # s = 1/2
        tensor([1.5000, 2.5000])
    """
    layout = layout_of(shortcut)
    z, shortcut = z.contiguous(memory_format=layout), shortcut.to(z.dtype).contiguous(memory_format=layout)
    return _WeightSpaceTail.apply(z, shortcut, weight, *affine, excitation, overwrite, *weights)


class _WeightSpaceTail(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        shortcut: Tensor,
        weight: Tensor,
        a: Tensor,
        b: Tensor,
        excitation: Callable[..., Tensor],
        overwrite: bool,
        *weights: Tensor | None,
    ) -> Tensor:
        mean = z.mean((2, 3), dtype=accumulated_in(z))
        with no_autocast(z):
            slope, offset = slope_and_offset(excitation, mean, weight, a, b, *weights)
            matrices, kernels = gated_matrices(slope, weight, z.dtype), passes.kernels_for(z)
            if kernels:
                out = _product(matrices, z)
                kernels.affine_sum(out, None, offset[..., None, None], shortcut, relu=True, out=out)
            else:
                out = _affine_map(matrices, z, offset.to(z.dtype), shortcut, overwrite).relu_()
        if out is shortcut:
            ctx.mark_dirty(shortcut)
        ctx.excitation = excitation
        ctx.save_for_backward(z, out, weight, a, b, mean, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, out, weight, a, b, mean, *weights = ctx.saved_tensors
        if by_operators(grad):
            grad, branch = grad * (out > 0), partial(_branch, ctx.excitation, grad.dtype)
            of_z, *of_small = recorded_gradients(branch, (z, weight, a, b, *weights), grad)
            return of_z, grad, *of_small[:3], None, None, *of_small[3:]
        wants_z, _, wants_weight = ctx.needs_input_grad[:3]
        grad, of_offset, *_ = passes.relu_gradient(grad.contiguous(memory_format=layout_of(out)), out)
        of_offset = of_offset.flatten(1)
        with no_autocast(z):
            of_matrices = _outer_product(grad, z).to(mean.dtype)  # (N, C, K)
            of_slope = (of_matrices * weight.flatten(1)).sum(-1)  # einsum is one small product for each channel
            (slope, _), (of_mean, of_weight, *of_small) = through_small(
                partial(slope_and_offset, ctx.excitation), (mean, weight, a, b, *weights), (of_slope, of_offset)
            )
            if wants_weight:
                of_weight += (slope[..., None] * of_matrices).sum(0).view_as(weight)
            del of_matrices
            grad_z = None
            if wants_z:
                of_each = (of_mean / (z.size(2) * z.size(3))).to(z.dtype)
                grad_z = _affine_map(gated_matrices(slope, weight, z.dtype).mT, grad, of_each)
        return grad_z, grad, of_weight, *of_small[:2], None, None, *of_small[2:]


def _branch(
    excitation: Callable[..., Tensor], dtype: torch.dtype, z: Tensor, weight: Tensor, *small: Tensor | None
) -> Tensor:
    """``s * u`` by operators that autograd records."""
    slope, offset = slope_and_offset(excitation, z.mean((2, 3), dtype=accumulated_in(z)), weight, *small)
    v = functional.conv2d(z, weight.to(z.dtype))
    return (slope[..., None, None].to(z.dtype) * v + offset[..., None, None]).to(dtype)


def slope_and_offset(
    excitation: Callable[..., Tensor], mean: Tensor, weight: Tensor, a: Tensor, b: Tensor, *weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What the gate makes of the norm's affine map, (N, C) each."""
    squeezed = torch.addcmul(b, functional.linear(mean.to(weight.dtype), weight.flatten(1)), a)
    s = excitation(squeezed[..., None, None], *weights).flatten(1)
    return s * a, s * b


def gated_matrices(slope: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """``diag(slope) W`` for each image, (N, C, K), cast once."""
    return (slope[..., None] * weight.flatten(1)).to(dtype)


def _rows(x: Tensor) -> tuple[Tensor, bool]:
    """A map as matrices, without a copy: (N, H W, C) and True if it is channels-last, else (N, C, H W)."""
    if layout_of(x) is torch.channels_last:
        return x.permute(0, 2, 3, 1).flatten(1, 2), True
    return x.flatten(2), False


def _product(matrices: Tensor, x: Tensor) -> Tensor:
    """``matrices x`` at each position, (N, C, H, W), in the layout of x."""
    out = x.new_empty((len(x), matrices.size(1), *x.shape[2:])).contiguous(memory_format=layout_of(x))
    rows, channels_last = _rows(out)
    if channels_last:
        torch.bmm(x.permute(0, 2, 3, 1).flatten(1, 2), matrices.mT, out=rows)
    else:
        torch.bmm(matrices, x.flatten(2), out=rows)
    return out


def _affine_map(
    matrices: Tensor, x: Tensor, offset: Tensor, shortcut: Tensor | None = None, overwrite: bool = False
) -> Tensor:
    """``matrices x + offset`` at each position, plus the shortcut, which it may overwrite; in the layout of both.

    (N, C, K) times (N, K, H, W), plus (N, C) and (N, C, H, W), gives (N, C, H, W).
    """
    if _by_convolution(x):
        return _convolved(matrices[..., None, None], x, offset, shortcut, overwrite)
    offset = offset[..., None, None]
    if shortcut is None:
        out = offset.expand(-1, -1, *x.shape[2:]).contiguous(memory_format=layout_of(x))
    else:
        out = shortcut.add_(offset) if overwrite else shortcut + offset
    rows, channels_last = _rows(out)
    if channels_last:
        rows.baddbmm_(x.permute(0, 2, 3, 1).flatten(1, 2), matrices.mT)
    else:
        rows.baddbmm_(matrices, x.flatten(2))
    return out


def _convolved(kernels: Tensor, x: Tensor, offset: Tensor, shortcut: Tensor | None, overwrite: bool) -> Tensor:
    """As :func:`_affine_map`, by a convolution for each image."""
    if len(x) == 1:
        out = functional.conv2d(x, kernels[0], offset[0])
        return out if shortcut is None else out.add_(shortcut)
    size = (len(x), kernels.size(1), *x.shape[2:])
    out = shortcut if overwrite else x.new_empty(size).contiguous(memory_format=layout_of(x))
    for i in range(len(x)):
        one = slice(i, i + 1)
        branch = functional.conv2d(x[one], kernels[i], offset[i])
        if shortcut is None:
            out[one] = branch
        else:
            torch.add(shortcut[one], branch, out=out[one])
    return out


def _outer_product(grad: Tensor, z: Tensor) -> Tensor:
    """``grad z^T`` summed over the positions of each image: (N, C, K)."""
    if _by_convolution(grad):
        shape = (grad.size(1), z.size(1), 1, 1)
        return torch.stack([conv2d_weight(z[i : i + 1], shape, grad[i : i + 1]).flatten(1) for i in range(len(z))])
    rows, channels_last = _rows(grad)
    if channels_last:
        return torch.bmm(rows.mT, z.permute(0, 2, 3, 1).flatten(1, 2))
    return torch.bmm(rows, z.flatten(2).mT)


def _by_convolution(x: Tensor) -> bool:
    return x.device.type == 'cpu' and x.numel() > 0 and x.size(2) * x.size(3) < _FEW_POSITIONS
