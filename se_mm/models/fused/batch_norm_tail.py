"""The tail of an SE residual unit behind a BatchNorm in training mode, as one function of autograd."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...compat.torch_internals import is_watched
from ..attention.operators import accumulated_in, no_autocast
from . import passes
from .gradients import by_operators, recorded_gradients, through_small


def takes_batch_statistics(norm: nn.Module) -> bool:
    """Whether a norm is a plain ``BatchNorm2d`` in training mode, with scale and shift, that nobody watches."""
    if type(norm) is not nn.BatchNorm2d or not norm.training or is_watched(norm):
        return False
    is_affine = norm.weight is not None and norm.bias is not None
    return is_affine and (norm.track_running_stats or norm.running_mean is None)


def batch_norm_tail(
    v: Tensor,
    shortcut: Tensor,
    norm: nn.BatchNorm2d,
    excitation: Callable[..., Tensor],
    weights: tuple[Tensor | None, ...],
) -> Tensor:
    r"""``relu(shortcut + s * u)`` for ``u = norm(v)`` with the statistics of the batch, s the gate of u.

    The running statistics are updated as by ``norm(v)``. With mu and r the mean and the inverse
    standard deviation of the batch, gamma and beta the norm's scale and shift,

    .. math::
        u = \gamma r (v - \mu) + \beta, \quad out = \mathrm{relu}(shortcut + (s \gamma r)(v - \mu) + s \beta)

    so the backward needs v and the output, which a plain network keeps too, and not u.

    Args:
        v: what comes into the norm, (N, C, H, W).
        shortcut: the same shape.
        norm: see :func:`takes_batch_statistics`.
        excitation: from the squeeze, (N, C, 1, 1), and ``weights`` to s, of that shape.
        weights: its parameters.

    Raises:
        ValueError: if there is one value a channel only, as torch's ``batch_norm`` does.

    Example:
        >>> v = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2)
        >>> out = batch_norm_tail(v, torch.ones(1, 1, 1, 2), nn.BatchNorm2d(1), lambda mean: mean + 0.5, ())
        >>> out.flatten().round(decimals=3)  # u is -1 and 1, its mean 0, s = 1/2
        tensor([0.5000, 1.5000], grad_fn=<RoundBackward1>)
    """
    if v.size(0) * v.size(2) * v.size(3) == 1:
        raise ValueError(f'Expected more than 1 value per channel when training, got input size {v.size()}')
    return _BatchNormTail.apply(v, shortcut, norm.weight, norm.bias, norm, excitation, *weights)


class _BatchNormTail(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        v: Tensor,
        shortcut: Tensor,
        gamma: Tensor,
        beta: Tensor,
        norm: nn.BatchNorm2d,
        excitation: Callable[..., Tensor],
        *weights: Tensor | None,
    ) -> Tensor:
        u, mu, r = torch.native_batch_norm(
            v, gamma, beta, norm.running_mean, norm.running_var, True, _momentum(norm), norm.eps
        )
        with no_autocast(v):
            means = v.mean((2, 3), dtype=accumulated_in(v)) - mu
            s = excitation((gamma * r * means + beta)[..., None, None], *weights).to(u.dtype)
        kernels = passes.kernels_for(u)
        if kernels and u.dtype == shortcut.dtype:
            out = kernels.affine_sum(u, s, None, shortcut, relu=True, out=u)
        else:
            out = torch.addcmul(shortcut, u, s, out=u).relu_()
        ctx.excitation, ctx.eps = excitation, norm.eps
        ctx.save_for_backward(v, out, gamma, beta, mu, r, means, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        v, out, gamma, beta, mu, r, means, *weights = ctx.saved_tensors
        if by_operators(grad):
            grad, branch = grad * (out > 0), partial(_branch, ctx.excitation, ctx.eps)
            of_v, of_gamma, of_beta, *of_weights = recorded_gradients(branch, (v, gamma, beta, *weights), grad)
            return of_v, grad, of_gamma, of_beta, None, None, *of_weights
        grad, of_offset, of_slope, spare = passes.relu_gradient(grad, out, v, mu)
        sums = of_slope.flatten(1), of_offset.flatten(1)
        with no_autocast(v):
            (slope, _), (of_means, of_r, *of_small) = through_small(
                partial(_slope_and_offset, ctx.excitation), (means, r, gamma, beta, *weights), sums
            )
        grad_v = None
        if ctx.needs_input_grad[0]:
            positions = v.size(2) * v.size(3)
            # r depends on v through the variance, and each v - mu on all v through mu.
            of_centred = -of_r * r.pow(3) / (len(v) * positions)
            common = (slope * sums[1].to(slope) + of_means).sum(0) / (len(v) * positions)
            constant = of_means / positions - common - of_centred * mu
            grad_v = passes.affine_sum(
                grad, slope[..., None, None], constant[..., None, None], v, of_centred, out=spare
            )
        return grad_v, grad, *of_small[:2], None, None, *of_small[2:]


def _branch(
    excitation: Callable[..., Tensor], eps: float, v: Tensor, gamma: Tensor, beta: Tensor, *weights: Tensor | None
) -> Tensor:
    """``s * u`` by operators that autograd records."""
    u = functional.batch_norm(v, None, None, gamma, beta, True, 0.0, eps)
    return u * excitation(u.mean((2, 3), keepdim=True, dtype=accumulated_in(u)), *weights).to(u.dtype)


def _momentum(norm: nn.BatchNorm2d) -> float:
    """The weight of this batch in the running statistics; counts the batch, as ``BatchNorm2d.forward`` does."""
    if norm.num_batches_tracked is None:
        return norm.momentum or 0.0
    norm.num_batches_tracked.add_(1)
    return 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum


def _slope_and_offset(
    excitation: Callable[..., Tensor], means: Tensor, r: Tensor, gamma: Tensor, beta: Tensor, *weights: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What ``v - mu`` is multiplied by and what is added to it, (N, C) each."""
    s = excitation((gamma * r * means + beta)[..., None, None], *weights).flatten(1)
    return s * gamma * r, s * beta
