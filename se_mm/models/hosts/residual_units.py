"""Residual blocks of mmdet and mmpretrain with attention as ``se``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ..attention.base import fusible_gate
from ..attention.gates import mean
from ..fused import (
    batch_norm_tail,
    folded_affine,
    folded_conv,
    folded_downsample,
    folds_downsample,
    frozen_affine,
    fused_tail,
    is_eager,
    is_frozen,
    is_recorded,
    is_watched,
    normalized,
    pays_in_weight_space,
    residual_tail,
    takes_batch_statistics,
    weight_space_tail,
)
from .made_classes import Made
from .sites import full_name


def is_plain_block(block: nn.Module) -> bool:
    """Whether a block is one of the libraries' own, without attention."""
    return full_name(type(block)) in PLAIN_BLOCKS


def last_conv_of(block: nn.Module) -> nn.Module:
    """The convolution at the end of a block's residual branch."""
    return block.conv3 if hasattr(block, 'norm3_name') else block.conv2


def last_norm_name_of(block: nn.Module) -> str:
    """The name of the norm at the end of a block's residual branch (``bn3``)."""
    return block.norm3_name if hasattr(block, 'norm3_name') else block.norm2_name


def gate_of(block: nn.Module) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]] | None:
    """The gate of a block as a function of the channel means, as ``Attention.gate_of_mean``; ``None`` without one."""
    return fusible_gate(getattr(block, 'se', None))


def is_pointwise(conv: nn.Module) -> bool:
    """Whether a convolution is a matrix product at each position."""
    plain = type(conv) is nn.Conv2d and conv.groups == 1 and conv.padding == (0, 0)
    return plain and conv.kernel_size == conv.stride == (1, 1)


class AttentionUnit(Made):
    """A residual block with attention; stands before the block in the bases."""

    se: nn.Module
    #: Whether frozen norms are folded into the convolutions before them where a graph is recorded.
    fold_norms: bool = True

    @property
    def last_norm(self) -> nn.Module:
        """The norm at the end of the residual branch."""
        return getattr(self, last_norm_name_of(self))


class BasicShape(AttentionUnit):
    """Two 3x3 convolutions (ResNet-18 and -34)."""

    def before_last_conv(self, x: Tensor) -> Tensor:
        return self.conv_norm_relu(1, x)


class BottleneckShape(AttentionUnit):
    """1x1, 3x3 (in groups for ResNeXt), 1x1, with mmdet's plugins between them."""

    def before_last_conv(self, x: Tensor) -> Tensor:
        return self.after_conv(2, self.conv_norm_relu(2, self.after_conv(1, self.conv_norm_relu(1, x))))


#: The blocks whose forward is the plain one, by name, so that neither library is imported for the other.
PLAIN_BLOCKS: dict[str, type[AttentionUnit]] = {
    f'{library}.models.backbones.{module}.{block}': BasicShape if block == 'BasicBlock' else BottleneckShape
    for library in ('mmdet', 'mmpretrain')
    for module, block in (('resnet', 'BasicBlock'), ('resnet', 'Bottleneck'), ('resnext', 'Bottleneck'))
}


class PlainUnit(AttentionUnit):
    """``relu(P(x) + F(x))``: the forward of the libraries' own blocks, in parts that a position overrides."""

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return checkpoint(self.residual_unit, x, use_reentrant=False)
        return self.residual_unit(x)

    def residual_unit(self, x: Tensor) -> Tensor:
        u = self.branch(x)
        return self.relu(self.shortcut(x) + u)

    def shortcut(self, x: Tensor) -> Tensor:
        """P: the identity or its projection."""
        if self.downsample is None:
            return x
        fold = self.folds(x) and folds_downsample(self.downsample)
        return folded_downsample(x, self.downsample) if fold else self.downsample(x)

    def branch(self, x: Tensor) -> Tensor:
        """F: the residual branch to its end, plugins and stochastic depth included."""
        v = last_conv_of(self)(self.before_last_conv(x))
        return self.drop(self.after_conv(3, self.last_norm(v)))

    def folds(self, x: Tensor) -> bool:
        """Whether frozen norms are folded into their convolutions: in a training step, not in inference."""
        return self.fold_norms and self.training and torch.is_grad_enabled() and is_eager(x)

    def conv_norm_relu(self, i: int, x: Tensor) -> Tensor:
        """The i-th convolution with its norm and the activation."""
        if self.folds(x) and type(self.relu) is nn.ReLU and not is_watched(self.relu):
            conv = getattr(self, f'conv{i}')
            affine = folded_affine(conv, getattr(self, f'norm{i}'))
            if affine is not None:
                return folded_conv(x, conv, affine, relu=True)
        return self.relu(self.convolved(i, x))

    def convolved(self, i: int, x: Tensor) -> Tensor:
        """The i-th convolution with its norm; in place where nobody watches what comes between them."""
        conv, norm = getattr(self, f'conv{i}'), getattr(self, f'norm{i}')
        v = conv(x)
        return norm(v) if v is x or is_watched(conv) else normalized(norm, v)  # an Identity gives x itself

    def after_conv(self, conv: int, u: Tensor) -> Tensor:
        """What mmdet's plugins after the n-th convolution make of a map."""
        plugins = getattr(self, f'after_conv{conv}_plugin_names', ())
        return self.forward_plugin(u, plugins) if plugins else u

    def drop(self, u: Tensor) -> Tensor:
        """mmpretrain's stochastic depth."""
        return self.drop_path(u) if hasattr(self, 'drop_path') else u


class StandardUnit(PlainUnit):
    """``relu(P(x) + se(F(x)))``: figure 3 of the paper; plugins of mmdet at ``after_conv3`` see the scaled branch.

    The fused tail computes it where the gate depends on the means of the branch alone (SE,
    ECA), the operators run eagerly, and nobody watches the modules that it does not call.
    """

    def residual_unit(self, x: Tensor) -> Tensor:
        w = self.before_last_conv(x)
        gate = self._fusible_gate(w)
        if gate is None:
            v = last_conv_of(self)(w)
            u = self.drop(self.after_conv(3, self.se(self.last_norm(v))))
            return self.relu(self.shortcut(x) + u)
        function, weights = gate
        affine = self._matrix_affine(w)
        if affine is not None:
            overwrite = self.downsample is not None and folds_downsample(self.downsample)
            return weight_space_tail(w, self.shortcut(x), self.conv3.weight, affine, function, weights, overwrite)
        v = last_conv_of(self)(w)
        z = None if torch.is_grad_enabled() or v.is_cuda else self._squeeze_before(w, v)
        del w  # where nobody keeps it its memory is free for the shortcut
        shortcut, norm = self.shortcut(x), self.last_norm
        # On a GPU the kernels of the fused tail are for inference too.
        if v.is_cuda or is_recorded(v, shortcut, *norm.parameters(), *weights):
            if takes_batch_statistics(norm) and v.numel():
                return batch_norm_tail(v, shortcut, norm, function, weights)
            affine = frozen_affine(norm)
            if affine is None:
                v, norm = norm(v), None
            return fused_tail(v, shortcut, affine, norm, function, weights)
        u = norm(v) if v is x else normalized(norm, v)
        s = function(mean(u) if z is None else z, *weights).to(u.dtype)
        return residual_tail(u, shortcut, s, self.relu)

    def _matrix_affine(self, w: Tensor) -> tuple[Tensor, Tensor] | None:
        """The norm's affine map where the last convolution, it and the gate are one matrix per image."""
        conv = last_conv_of(self)
        if not (self.folds(w) and is_pointwise(conv) and pays_in_weight_space(w)):
            return None
        return folded_affine(conv, self.last_norm)

    def _fusible_gate(self, w: Tensor) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]] | None:
        if not is_eager(w) or type(self.relu) is not nn.ReLU or getattr(self, 'after_conv3_plugin_names', ()):
            return None
        drop_path = getattr(self, 'drop_path', None)
        if self.training and drop_path is not None and not isinstance(drop_path, nn.Identity):
            return None
        if is_watched(last_conv_of(self), self.last_norm, self.relu, *self.se.modules()):
            return None
        return gate_of(self)

    def _squeeze_before(self, w: Tensor, v: Tensor) -> Tensor | None:
        """z from w, where the last convolution, which gives v, and the norm let a mean through."""
        # A mean goes through what is linear, and w has a quarter of the channels of v to read.
        conv, norm = last_conv_of(self), self.last_norm
        affine = isinstance(norm, nn.Identity) or is_frozen(norm)
        exact = w.dtype == v.dtype == conv.weight.dtype and w.dtype in (torch.float32, torch.float64)
        if not (is_pointwise(conv) and affine and exact):
            return None
        z = functional.linear(w.mean((2, 3)), conv.weight.flatten(1), conv.bias)
        return norm(z[..., None, None])


class PreUnit(PlainUnit):
    """``relu(P(x) + F(se(x)))``: SE-PRE."""

    def branch(self, x: Tensor) -> Tensor:
        return super().branch(self.se(x))


class PostUnit(PlainUnit):
    """``se(relu(P(x) + F(x)))``: SE-POST."""

    def residual_unit(self, x: Tensor) -> Tensor:
        return self.se(super().residual_unit(x))


class IdentityUnit(PlainUnit):
    """``relu(se(P(x)) + F(x))``: SE-Identity."""

    def shortcut(self, x: Tensor) -> Tensor:
        return self.se(super().shortcut(x))


class Conv2Unit(PlainUnit):
    """Attention on ``relu(norm2(conv2))``, before the last convolution of a bottleneck (table 15)."""

    def before_last_conv(self, x: Tensor) -> Tensor:
        return self.se(super().before_last_conv(x))


POSITIONS: dict[str, type[PlainUnit]] = {
    'standard': StandardUnit,
    'pre': PreUnit,
    'post': PostUnit,
    'identity': IdentityUnit,
    'conv2': Conv2Unit,
}


class NormThenAttention2(AttentionUnit):
    """A basic block with a forward of its own: what it calls as ``norm2`` is the norm and the attention behind it."""

    @property
    def norm2(self) -> Any:
        return NormThenAttention(self.last_norm, self.se)


class NormThenAttention3(AttentionUnit):
    """The same for the ``norm3`` of a bottleneck."""

    @property
    def norm3(self) -> Any:
        return NormThenAttention(self.last_norm, self.se)


class NormThenAttention:
    """Two modules called one after the other; made on each access, so that it follows a converted norm (SyncBN).

    It is no module: nothing is registered in a forward, and state dicts stay as they are.
    Initialisation reaches the norm through :meth:`apply`, ``weight`` and ``bias``.
    """

    def __init__(self, norm: nn.Module, attention: nn.Module) -> None:
        self.norm = norm
        self.attention = attention
        self.apply = norm.apply
        self.weight, self.bias = getattr(norm, 'weight', None), getattr(norm, 'bias', None)  # none where deployed

    def __call__(self, x: Tensor) -> Tensor:
        return self.attention(self.norm(x))
