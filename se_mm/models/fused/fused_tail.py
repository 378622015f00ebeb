"""The tail of an SE residual unit as one function of autograd, from the norm at the end of the branch on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..attention.operators import accumulated_in
from . import passes
from .gradients import by_operators, recorded_gradients, through_small


def fused_tail(
    v: Tensor,
    shortcut: Tensor,
    affine: tuple[Tensor, Tensor] | None,
    norm: Callable[[Tensor], Tensor],
    excitation: Callable[..., Tensor],
    weights: tuple[Tensor | None, ...],
) -> Tensor:
    r"""``relu(shortcut + s * u)`` for ``u = norm(v)``, s the gate of u.

    A norm with frozen statistics is affine, ``u = a v + b``, and so is its squeeze:

    .. math::
        z = a \cdot \mathrm{mean}(v) + b, \quad s = \mathrm{excitation}(z), \quad
        out = \mathrm{relu}(shortcut + (s a)\, v + s b)

    So its backward needs v, which a plain network keeps for its norm, and the output, which the next convolution
    keeps. With g the gradient of the output and g' = g (out > 0), it takes one pass for g' and its sums with 1 and
    with v per channel, and one for the gradient of v, ``s a g' + dmean / HW``.

    Args:
        v: what comes into the norm, (N, C, H, W).
        shortcut: (N, C, H, W).
        affine: a and b, (C,) each; ``None``: the norm is the identity.
        norm: makes u of v, as a map of its own unless it is the identity; used in the forward,
            whose result is then the plain network's in every bit where s is 1/2.
        excitation: from z, (N, C, 1, 1), and ``weights`` to s, (N, C, 1, 1).
        weights: its parameters.

    Example:
        >>> v = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
        >>> fused_tail(v, torch.ones(1, 1, 1, 2), None, torch.nn.Identity(), lambda z: z / 4, ()).flatten()  # s = 1/2
        tensor([1.5000, 2.5000])
    """
    a, b = affine or (None, None)
    return _FusedTail.apply(v, shortcut, norm, excitation, a, b, *weights)


class _FusedTail(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        v: Tensor,
        shortcut: Tensor,
        norm: Callable[[Tensor], Tensor],
        excitation: Callable[..., Tensor],
        a: Tensor | None,
        b: Tensor | None,
        *weights: Tensor | None,
    ) -> Tensor:
        mean = v.mean((2, 3), keepdim=True, dtype=accumulated_in(v))
        kernels = passes.kernels_for(v)
        if kernels and v.dtype == shortcut.dtype:
            slope, *offset = _slope_and_offset(excitation, mean, a, b, *weights)
            out = kernels.affine_sum(v, slope, *offset or (None,), shortcut, relu=True)
        else:
            s = excitation(_affine(mean, a, b), *weights).to(v.dtype)
            if a is None:
                out = torch.addcmul(shortcut, v, s).relu_()
            else:
                u = norm(v)
                out = torch.addcmul(shortcut, u, s, out=u).relu_()
        ctx.excitation = excitation
        ctx.save_for_backward(v, out, mean, a, b, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        v, out, mean, a, b, *weights = ctx.saved_tensors
        if by_operators(grad):
            grad = grad * (out > 0)
            of_v, *of_small = recorded_gradients(partial(_branch, ctx.excitation), (v, a, b, *weights), grad)
            return of_v, grad, None, None, *of_small
        grad, of_offset, of_slope, spare = passes.relu_gradient(grad, out, v)
        (slope, *_), (of_mean, *of_small) = through_small(
            partial(_slope_and_offset, ctx.excitation), (mean, a, b, *weights), (of_slope, of_offset)
        )
        grad_v = None
        if ctx.needs_input_grad[0]:
            grad_v = passes.affine_sum(grad, slope, of_mean / (v.size(2) * v.size(3)), out=spare)
        return grad_v, grad, None, None, *of_small


def _branch(excitation: Callable[..., Tensor], v: Tensor, *small: Tensor | None) -> Tensor:
    """``s * u`` by operators that autograd records."""
    mean = v.mean((2, 3), keepdim=True, dtype=accumulated_in(v))
    slope, *offset = (part.to(v.dtype) for part in _slope_and_offset(excitation, mean, *small))
    return slope * v + offset[0] if offset else slope * v


def _slope_and_offset(
    excitation: Callable[..., Tensor], mean: Tensor, a: Tensor | None, b: Tensor | None, *weights: Tensor | None
) -> tuple[Tensor, ...]:
    """What the gate makes of the norm's affine map, for each picture and channel."""
    s = excitation(_affine(mean, a, b), *weights)
    return (s,) if a is None else (s * a.view(1, -1, 1, 1), s * b.view(1, -1, 1, 1))


def _affine(mean: Tensor, a: Tensor | None, b: Tensor | None) -> Tensor:
    return mean if a is None else torch.addcmul(b.view(1, -1, 1, 1), mean, a.view(1, -1, 1, 1))
