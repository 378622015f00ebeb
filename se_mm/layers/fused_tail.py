"""The tail of an SE residual unit as one function of autograd, with the norm before it folded in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Excitation = Callable[..., Tensor]


def fused_tail(
    v: Tensor, shortcut: Tensor, scale: Tensor, shift: Tensor, excitation: Excitation, weights: tuple[Tensor, ...]
) -> Tensor:
    r"""``relu(shortcut + s * u)`` for ``u = scale * v + shift``, s the gate of u.

    The squeeze of an affine map is the affine map of the squeeze, so u is never made:

    .. math::
        z = \mathrm{scale} \cdot \mathrm{mean}(v) + \mathrm{shift}, \quad s = \mathrm{excitation}(z), \quad
        out = \mathrm{relu}(shortcut + (s \cdot \mathrm{scale})\, v + s \cdot \mathrm{shift})

    For its backward it keeps v, which a plain network keeps for its norm, and its output, which
    the next convolution keeps: no map more than the plain tail. With g the gradient of the
    output and g' = g (out > 0), one pass gives g' and the sums of g' and g' v per channel,
    another the gradient of v, ``s scale g' + dmean / HW``.

    Args:
        v: what comes into the last norm, (N, C, H, W).
        shortcut: (N, C, H, W).
        scale: of the norm as it stands, (C,).
        shift: the same, (C,).
        excitation: from z, (N, C, 1, 1), and ``weights`` to s, (N, C, 1, 1).
        weights: its parameters.

    Returns:
        The output of the unit, (N, C, H, W). It can be differentiated once.

    Example:
        >>> v = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2).requires_grad_()
        >>> out = fused_tail(v, torch.ones(1, 1, 1, 2), torch.ones(1), torch.zeros(1), lambda z: z / 4, ())
        >>> out.flatten()  # z = 2, s = 1/2
        tensor([1.5000, 2.5000], grad_fn=<ViewBackward0>)
        >>> torch.autograd.grad(out.sum(), v)[0].flatten()  # s + (1 + 3) / 4 / 2
        tensor([1., 1.])
    """
    return _FusedTail.apply(v, shortcut, scale, shift, excitation, *weights)


class _FusedTail(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, v: Tensor, shortcut: Tensor, scale: Tensor, shift: Tensor, excitation: Excitation, *weights: Tensor
    ) -> Tensor:
        mean = v.mean((2, 3), keepdim=True, dtype=_accumulated_in(v))
        slope, offset = _slope_and_offset(mean, scale, shift, excitation, weights)
        # Shift, add and activate write over one map.
        out = torch.addcmul(offset.to(v.dtype), v, slope.to(v.dtype)).add_(shortcut).relu_()
        ctx.excitation = excitation
        ctx.save_for_backward(v, out, mean, slope, scale, shift, *weights)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        v, out, mean, slope, scale, shift, *weights = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(grad, out, 0)
        grad_offset = grad.sum((2, 3), keepdim=True, dtype=_accumulated_in(v))
        grad_slope = _sums_of_products(grad, v)
        wanted = [mean, *(tensor for tensor in (scale, shift, *weights) if tensor.requires_grad)]
        with torch.enable_grad():
            leaves = {id(tensor): tensor.detach().requires_grad_() for tensor in wanted}
            at = [leaves.get(id(tensor), tensor) for tensor in (mean, scale, shift, *weights)]
            small = _slope_and_offset(at[0], at[1], at[2], ctx.excitation, tuple(at[3:]))
            found = torch.autograd.grad(small, list(leaves.values()), (grad_slope.to(small[0]), grad_offset.to(small[1])))
        grads = dict(zip(leaves, found, strict=True))
        grad_mean = grads.pop(id(mean)) / (v.size(2) * v.size(3))
        grad_v = None
        if ctx.needs_input_grad[0]:
            grad_v = torch.addcmul(grad_mean.to(v.dtype), grad, slope.to(v.dtype))
        grads_of_small = [grads.get(id(tensor)) for tensor in (scale, shift, *weights)]
        return grad_v, grad, grads_of_small[0], grads_of_small[1], None, *grads_of_small[2:]


def _slope_and_offset(
    mean: Tensor, scale: Tensor, shift: Tensor, excitation: Excitation, weights: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """What the gate makes of the norm's affine map, for each picture and channel."""
    scale, shift = scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)
    s = excitation(torch.addcmul(shift, mean, scale), *weights)
    return s * scale, s * shift


def _sums_of_products(a: Tensor, b: Tensor) -> Tensor:
    """Sum of a * b over height and width, (N, C, 1, 1)."""
    return (a * b).sum((2, 3), keepdim=True, dtype=_accumulated_in(a))


def _accumulated_in(v: Tensor) -> torch.dtype | None:
    return torch.float32 if v.dtype in (torch.float16, torch.bfloat16) else None
