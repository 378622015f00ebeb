"""Residual blocks of mmdet and mmpretrain with attention as ``se``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..attention.base import fusible_gate
from ..composed import Addition
from ..fused import (
    GATED_FORMS,
    PLAIN_FORMS,
    Form,
    folded_affine,
    folded_conv,
    folded_downsample,
    folds_downsample,
    is_eager,
    is_watched,
    normalized,
)
from .sites import full_name


class AttentionUnit(Addition):
    """A residual block with attention."""

    se: nn.Module
    #: The index of the convolution and the norm that end the residual branch.
    last: int
    #: Whether frozen norms are folded into the convolutions before them where a graph is recorded.
    fold_norms: bool = True

    @property
    def last_norm(self) -> nn.Module:
        """The norm at the end of the residual branch."""
        return getattr(self, getattr(self, f'norm{self.last}_name'))


class BasicShape(AttentionUnit):
    """Two 3x3 convolutions (ResNet-18 and -34)."""

    last = 2

    def before_last_conv(self, x: Tensor) -> Tensor:
        return self.conv_norm_relu(1, x)


class BottleneckShape(AttentionUnit):
    """1x1, 3x3 (in groups for ResNeXt), 1x1, with mmdet's plugins between them."""

    last = 3

    def before_last_conv(self, x: Tensor) -> Tensor:
        return self.after_conv(2, self.conv_norm_relu(2, self.after_conv(1, self.conv_norm_relu(1, x))))


#: The blocks whose forward is the plain one, by name, so that neither library is imported for the other.
PLAIN_BLOCKS: dict[str, type[AttentionUnit]] = {
    f'{library}.models.backbones.{module}.{block}': BasicShape if block == 'BasicBlock' else BottleneckShape
    for library in ('mmdet', 'mmpretrain')
    for module, block in (('resnet', 'BasicBlock'), ('resnet', 'Bottleneck'), ('resnext', 'Bottleneck'))
}


def shape_of(block: type[nn.Module]) -> type[AttentionUnit] | None:
    """The shape of one of the libraries' own blocks; ``None``: a block with a forward of its own."""
    return PLAIN_BLOCKS.get(full_name(block))


class PlainUnit(AttentionUnit):
    """``relu(P(x) + F(x))``: the forward of the libraries' own blocks, in parts that a position overrides."""

    #: Asked in this order; see :mod:`se_mm.models.fused.unit_forms`.
    forms: tuple[Form, ...] = PLAIN_FORMS
    #: Whether the unit is deployed for oneDNN's operators.
    on_onednn = False

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return checkpoint(self.residual_unit, x, use_reentrant=False)
        return self.residual_unit(x)

    def residual_unit(self, x: Tensor) -> Tensor:
        for form in self.forms if self.can_be_fused(x) else ():
            if form.fits(self, x):
                return form.run(self, x)
        return self.operators(x)

    def can_be_fused(self, x: Tensor) -> bool:
        """Whether a form may stand for the operators; what all forms ask is asked here, once."""
        return self.on_onednn and is_eager(x)

    def operators(self, x: Tensor) -> Tensor:
        """The form that always fits: its modules, each called."""
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
        u = self.after_conv(3, self.gated(self.last_norm(self.last_conv(self.before_last_conv(x)))))
        return self.drop_path(u) if hasattr(self, 'drop_path') else u  # mmpretrain's stochastic depth

    def gated(self, u: Tensor) -> Tensor:
        """Attention at the end of the branch, where it stands there."""
        return u

    def folds(self, x: Tensor) -> bool:
        """Whether frozen norms are folded into their convolutions: in a training step, not in inference."""
        return self.fold_norms and self.training and torch.is_grad_enabled() and is_eager(x)

    def conv_norm_relu(self, i: int, x: Tensor) -> Tensor:
        """The i-th convolution with its norm and the activation; in place where nobody watches what is between."""
        conv, norm = getattr(self, f'conv{i}'), getattr(self, f'norm{i}')
        if self.folds(x) and type(self.relu) is nn.ReLU and not is_watched(self.relu):
            affine = folded_affine(conv, norm)
            if affine is not None:
                return folded_conv(x, conv, affine, relu=True)
        v = conv(x)
        in_place = v is not x and not is_watched(conv)  # an Identity gives x itself
        return self.relu(normalized(norm, v) if in_place else norm(v))

    def after_conv(self, conv: int, u: Tensor) -> Tensor:
        """What mmdet's plugins after the n-th convolution make of a map."""
        plugins = getattr(self, f'after_conv{conv}_plugin_names', ())
        return self.forward_plugin(u, plugins) if plugins else u

    @property
    def convs(self) -> list[nn.Module]:
        """The convolutions of the residual branch."""
        return [getattr(self, f'conv{i}') for i in range(1, self.last + 1)]

    @property
    def last_conv(self) -> nn.Module:
        """The convolution at the end of the residual branch."""
        return getattr(self, f'conv{self.last}')

    @property
    def gate(self) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]] | None:
        """:meth:`se_mm.models.attention.Attention.gate_of_mean` of attention at the end of the branch, or ``None``."""
        return None


class StandardUnit(PlainUnit):
    """``relu(P(x) + se(F(x)))``: figure 3 of the paper; plugins of mmdet at ``after_conv3`` see the scaled branch."""

    forms = GATED_FORMS

    def can_be_fused(self, x: Tensor) -> bool:
        """Where the gate depends on means alone, operators run eagerly, and nobody watches what is not called."""
        if not is_eager(x) or type(self.relu) is not nn.ReLU or getattr(self, 'after_conv3_plugin_names', ()):
            return False
        if self.training and not isinstance(getattr(self, 'drop_path', None), (nn.Identity, type(None))):
            return False
        if is_watched(self.last_conv, self.last_norm, self.relu, *self.se.modules()):
            return False
        return self.gate is not None

    def gated(self, u: Tensor) -> Tensor:
        return self.se(u)

    @property
    def gate(self) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]] | None:
        return fusible_gate(self.se)


class RectifiedUnit(StandardUnit):
    """``relu(P(x) + se(relu(F(x))))``: the basic blocks of timm's legacy SE-ResNet-18 and -34."""

    gate = None

    def gated(self, u: Tensor) -> Tensor:
        return self.se(self.relu(u))


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


UNITS: dict[str, type[PlainUnit]] = {
    'standard': StandardUnit,
    'rectified': RectifiedUnit,
    'pre': PreUnit,
    'post': PostUnit,
    'identity': IdentityUnit,
    'conv2': Conv2Unit,
}


class NormThenAttention2(AttentionUnit):
    """A basic block with a forward of its own, whose ``norm2`` is the norm and the attention behind it."""

    last = 2
    norm2 = property(lambda unit: NormThenAttention(unit.last_norm, unit.se))


class NormThenAttention3(AttentionUnit):
    """The same for the ``norm3`` of a bottleneck."""

    last = 3
    norm3 = property(lambda unit: NormThenAttention(unit.last_norm, unit.se))


class NormThenAttention:
    """Two modules called one after the other; made on each access, so that it follows a converted norm (SyncBN).

    It is no module, so state dicts stay; initialisation reaches the norm through ``apply``, ``weight`` and ``bias``.
    """

    def __init__(self, norm: nn.Module, attention: nn.Module) -> None:
        self.norm = norm
        self.attention = attention
        self.apply = norm.apply
        self.weight, self.bias = getattr(norm, 'weight', None), getattr(norm, 'bias', None)  # none where deployed

    def __call__(self, x: Tensor) -> Tensor:
        return self.attention(self.norm(x))
