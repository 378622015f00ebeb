"""A convolution with the norm behind it folded into its weights: for good, or in each step of a training."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...compat.torch_internals import BatchNorm, is_watched
from ..attention.operators import no_autocast
from . import passes
from .frozen_norm import affine_of, is_frozen
from .gradients import by_operators, recorded_gradients


@torch.no_grad()
def fold_norms(network: nn.Module) -> int:
    """Folds each BatchNorm of a network in evaluation into the plain convolution before it, in place; returns how many.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8)).eval()
        >>> fold_norms(network), network[1]
        (1, Identity())
    """
    pairs = list(convs_with_norms(network))
    for parent, conv_name, norm_name in pairs:
        conv, norm = copy.deepcopy(getattr(parent, conv_name)), getattr(parent, norm_name)  # others may share it
        weight, bias = _folded(conv.weight, *_with_bias(conv, *affine_of(norm)), conv.weight.dtype)
        conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
        setattr(parent, conv_name, conv)
        setattr(parent, norm_name, getattr(norm, 'act', nn.Identity()))  # timm's norms hold the activation behind them
    return len(pairs)


def convs_with_norms(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """What :func:`fold_norms` folds: the parent of both, the name of the convolution, and that of the norm."""
    for parent in network.modules():
        for (conv_name, conv), (norm_name, norm) in pairwise(parent.named_children()):
            is_pair = type(conv) is nn.Conv2d and isinstance(norm, BatchNorm) and norm.running_var is not None
            if is_pair and not is_watched(conv, norm):
                yield parent, conv_name, norm_name


def folded_affine(conv: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor] | None:
    """a and b of ``norm(conv(x)) = a (W x) + b``, (C,) each, with the bias of the convolution in b.

    ``None``: the convolution is not plain (deformable, weights that are standardised, padding that is not zeros),
    the norm is not a BatchNorm with frozen statistics, or one of them has hooks.
    """
    return _with_bias(conv, *affine_of(norm)) if can_fold(conv, norm) else None


def folded_conv(x: Tensor, conv: nn.Conv2d, affine: tuple[Tensor, Tensor], relu: bool = False) -> Tensor:
    """``a (W x) + b`` as one convolution with the weights ``a W`` and the bias b.

    The gradients of W, a and b are exact. Autograd keeps x and, for the activation, the output.

    Args:
        x: (N, C_in, H, W).
        conv: a plain convolution.
        affine: a and b, from :func:`folded_affine`.
        relu: whether an activation follows, in place.

    Example:
        >>> conv, norm, x = nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8).eval(), torch.randn(2, 3, 5, 5)
        >>> u = folded_conv(x, conv, folded_affine(conv, norm))
        >>> torch.allclose(u, norm(conv(x)), atol=1e-6)
        True
    """
    geometry = (conv.stride, conv.padding, conv.dilation, conv.groups)
    return _FoldedConv.apply(x.to(_computed_in(x)), conv.weight, *affine, geometry, relu)


def folds_downsample(downsample: nn.Module) -> bool:
    """Whether a projection of the shortcut ends with a convolution and a norm that can be folded into it."""
    plain = type(downsample) is nn.Sequential and len(downsample) >= 2 and not is_watched(downsample)
    return plain and can_fold(*downsample[-2:])


def folded_downsample(x: Tensor, downsample: nn.Sequential) -> Tensor:
    """``downsample(x)`` for a projection of the shortcut that :func:`folds_downsample`."""
    *before, conv, norm = downsample
    for layer in before:
        x = layer(x)
    return folded_conv(x, conv, folded_affine(conv, norm))


def is_plain_conv(conv: nn.Module) -> bool:
    """Whether a module is torch's convolution, padded with zeros by a number of them (not ``'same'``)."""
    return type(conv) is nn.Conv2d and conv.padding_mode == 'zeros' and not isinstance(conv.padding, str)


def is_pointwise(conv: nn.Module) -> bool:
    """Whether a convolution is a matrix product at each position: 1x1 with stride 1, in one group."""
    plain = type(conv) is nn.Conv2d and conv.groups == 1 and conv.padding == (0, 0)
    return plain and conv.kernel_size == conv.stride == (1, 1)


def can_fold(conv: nn.Module, norm: nn.Module) -> bool:
    """Whether a convolution is plain and the norm behind it frozen, and nobody watches either."""
    return is_plain_conv(conv) and not is_watched(conv) and is_frozen(norm)


def _with_bias(conv: nn.Conv2d, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return (a, b) if conv.bias is None else (a, torch.addcmul(b, a, conv.bias))


class _FoldedConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, geometry: tuple[Any, ...], relu: bool
    ) -> Tensor:
        kernels = passes.kernels_for(x) if relu else None
        with no_autocast(x):
            folded, bias = _folded(weight, a, b, x.dtype)
            out = functional.conv2d(x, folded, None if kernels else bias, *geometry)
        if kernels:
            kernels.affine_sum(out, offset=b, relu=True, out=out)  # on a GPU a bias is a pass of its own
        elif relu:
            out.relu_()
        ctx.geometry = geometry
        ctx.save_for_backward(x, out if relu else None, weight, a, b)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, out, weight, a, b = ctx.saved_tensors
        if by_operators(grad):
            grad = grad if out is None else grad * (out > 0)
            return *recorded_gradients(partial(_convolved, ctx.geometry), (x, weight, a, b), grad), None, None
        wants_x, wants_weight, wants_a, wants_b = ctx.needs_input_grad[:4]
        of_each = None
        if out is not None:
            kernels = passes.kernels_for(out)
            if kernels:
                grad, of_each, _ = kernels.relu_gradient_and_sums(grad, out)
            else:
                grad = torch.ops.aten.threshold_backward(grad, out, 0)
        stride, padding, dilation, groups = ctx.geometry
        with no_autocast(x):
            folded, _ = _folded(weight, a, b, x.dtype)
            grad_x, of_folded, grad_b = torch.ops.aten.convolution_backward(
                grad, x, folded, [len(b)], stride, padding, dilation, False, (0, 0), groups,
                (wants_x, wants_weight or wants_a, wants_b and of_each is None),
            )  # fmt: skip
            if wants_b and of_each is not None:
                grad_b = of_each.sum((0, 2, 3)).to(b)
            grad_a = torch.linalg.vecdot(of_folded.to(weight).flatten(1), weight.flatten(1)) if wants_a else None
            grad_weight = of_folded.to(weight).mul_(a.view(-1, 1, 1, 1)) if wants_weight else None
        return grad_x, grad_weight, grad_a, grad_b, None, None


def _convolved(geometry: tuple[Any, ...], x: Tensor, weight: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a (W x) + b`` by operators that autograd records."""
    return functional.conv2d(x, *_folded(weight, a, b, x.dtype), *geometry)


def _folded(weight: Tensor, a: Tensor, b: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return (weight * a.view(-1, 1, 1, 1)).to(dtype), b.to(dtype)


def _computed_in(x: Tensor) -> torch.dtype:
    """The dtype of a convolution of x: autocast's where it is on."""
    device = x.device.type
    if device != 'meta' and x.dtype == torch.float32 and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype
