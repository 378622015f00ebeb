"""Squeeze-and-excitation in the residual blocks of mmdet and mmpretrain, before the addition."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ...errors import SeMmError
from ..attention import SELayer, excitation
from ..fused import (
    frozen_affine,
    fused_tail,
    has_hooks,
    is_eager,
    is_frozen,
    is_recorded,
    normalized,
    residual_tail,
)
from .made_classes import Made, made_class


def give_se(block: nn.Module, reduction: int = 16, bias: bool = True) -> None:
    """Puts SE into a residual block that its host has built, in place.

    The block keeps its parameters and their names, and gains ``se``. The libraries' own blocks
    get the fused tail; a block with a forward of its own (Res2Net, ResNeSt, TridentNet,
    DetectoRS, yours) keeps that, with the gate behind the last norm of its residual branch.

    Args:
        block: a block with the names of mmdet's and mmpretrain's: ``norm2`` or ``norm3`` ends
            its residual branch.
        reduction: r of :class:`se_mm.models.fused.SELayer`.
        bias: whether the two layers of the excitation have biases.

    Raises:
        SeMmError: if the block has no such norm, or the reduction is out of range.

    Example:
        >>> from mmdet.models.backbones.resnet import BasicBlock
        >>> block = BasicBlock(64, 64)
        >>> give_se(block)
        >>> type(block).__name__, block.se
        ('SEBasicBlock', SELayer(
          in_channels=64, reduction=16
          (fc1): Conv2d(64, 8, kernel_size=(1, 1), stride=(1, 1))
          (fc2): Conv2d(8, 64, kernel_size=(1, 1), stride=(1, 1))
        ))
    """
    block.__class__ = _unit_class(type(block))
    block.se = SELayer(block.last_conv.out_channels, reduction, bias=bias)


class SEUnit(Made):
    """A residual block with ``se``; stands before the block in the bases."""

    se: SELayer

    @property
    def _convolutions(self) -> int:
        return 3 if hasattr(self, 'norm3_name') else 2

    @property
    def last_conv(self) -> nn.Module:
        """The convolution at the end of the residual branch."""
        return getattr(self, f'conv{self._convolutions}')

    @property
    def last_norm_name(self) -> str:
        """The name of the norm at the end of the residual branch (``bn3``)."""
        return getattr(self, f'norm{self._convolutions}_name')

    @property
    def last_norm(self) -> nn.Module:
        """That norm."""
        return getattr(self, self.last_norm_name)

    def check_can_start_as_plain(self) -> None:
        if getattr(self.last_norm, 'weight', None) is None:
            raise SeMmError(
                "se_init='identity' doubles the scale and shift of the branch's last norm, and "
                f"{self.last_norm} has none; use a norm with affine=True, or se_init='default'"
            )

    @torch.no_grad()
    def start_as_plain(self) -> None:
        """Half-open gates on a branch twice as large: equal to the host in every bit, and the gates learn at once."""
        self.se.start_half_open()
        self.last_norm.weight.mul_(2)
        self.last_norm.bias.mul_(2)


class SETail(SEUnit):
    """Computes the block as ``relu(shortcut + gate(u) * u)``, u the residual branch up to its last norm.

    Plugins of mmdet at ``after_conv3`` see the scaled branch. mmpretrain's stochastic depth
    drops the gate, which is to drop the branch.
    """

    def before_last_conv(self, x: Tensor) -> Tensor:
        """w: the host's convolutions, norms and activations before the last convolution."""
        raise NotImplementedError

    def convolved(self, i: int, x: Tensor) -> Tensor:
        """The i-th convolution with its norm; in place where nobody watches what comes between them."""
        conv, norm = getattr(self, f'conv{i}'), getattr(self, f'norm{i}')
        return norm(conv(x)) if has_hooks(conv) else normalized(norm, conv(x))

    def squeeze_before(self, w: Tensor, v: Tensor) -> Tensor | None:
        """z from w, where the last convolution, which gives v, and the norm let a mean through."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return checkpoint(self.residual_unit, x, use_reentrant=False)
        return self.residual_unit(x)

    def residual_unit(self, x: Tensor) -> Tensor:
        w = self.before_last_conv(x)
        v = self.last_conv(w)
        z = None if torch.is_grad_enabled() or v.is_cuda else self.squeeze_before(w, v)
        del w  # where nobody keeps it its memory is free for the shortcut
        shortcut = x if self.downsample is None else self.downsample(x)
        norm = self.last_norm
        plugins = getattr(self, 'after_conv3_plugin_names', ())
        drop_path = getattr(self, 'drop_path', None)
        if plugins:
            return self.relu(shortcut + self.forward_plugin(self.se(norm(v)), plugins))
        drops = self.training and drop_path is not None and not isinstance(drop_path, nn.Identity)
        # On a GPU the kernels of the fused tail are for inference too.
        fused = v.is_cuda or is_recorded(v, shortcut, *norm.parameters(), *self.se.parameters())
        if fused and type(self.relu) is nn.ReLU and not drops and is_eager(v):
            affine = frozen_affine(norm)
            if affine is None:
                v, norm = norm(v), None
            return fused_tail(v, shortcut, affine, norm, excitation, self.se.weights())
        u = norm(v) if has_hooks(self.last_conv) else normalized(norm, v)
        s = self.se.excitation(self.se.squeeze(u) if z is None else z).to(u.dtype)
        return residual_tail(u, shortcut, drop_path(s) if drops else s, self.relu)


class SEBasicTail(SETail):
    """Two 3x3 convolutions (ResNet-18 and -34)."""

    def before_last_conv(self, x: Tensor) -> Tensor:
        return self.relu(self.convolved(1, x))


class SEBottleneckTail(SETail):
    """1x1, 3x3 (in groups for ResNeXt), 1x1, with mmdet's plugins between them."""

    def before_last_conv(self, x: Tensor) -> Tensor:
        w = self._after(1, self.relu(self.convolved(1, x)))
        return self._after(2, self.relu(self.convolved(2, w)))

    def squeeze_before(self, w: Tensor, v: Tensor) -> Tensor | None:
        # A mean goes through what is linear, and w has a quarter of the channels of v to read.
        conv, norm = self.conv3, self.last_norm
        plain = type(conv) is nn.Conv2d and conv.groups == 1 and conv.padding == (0, 0)
        linear = plain and conv.kernel_size == conv.stride == (1, 1)
        affine = isinstance(norm, nn.Identity) or is_frozen(norm)
        exact = w.dtype == v.dtype == conv.weight.dtype and w.dtype in (torch.float32, torch.float64)
        if linear and affine and exact and not has_hooks(conv) and is_eager(w):
            z = functional.linear(w.mean((2, 3)), conv.weight.flatten(1), conv.bias)
            return norm(z[..., None, None])
        return None

    def _after(self, conv: int, u: Tensor) -> Tensor:
        plugins = getattr(self, f'after_conv{conv}_plugin_names', ())
        return self.forward_plugin(u, plugins) if plugins else u


class SEBehindNorm2(SEUnit):
    """A basic block with a forward of its own: whoever asks for its last norm gets it with the gate behind it."""

    @property
    def norm2(self) -> nn.Module:
        return self._with_gate(self.last_norm)

    def _with_gate(self, norm: nn.Module) -> nn.Module:
        # On each access, since what converts norms (SyncBN, folding) puts new modules, without hooks, in their place.
        if self._scale not in norm._forward_hooks.values():
            norm.register_forward_hook(self._scale)
        return norm

    def _scale(self, _: nn.Module, __: Any, u: Tensor) -> Tensor:
        return self.se(u)


class SEBehindNorm3(SEBehindNorm2):
    """The same for a bottleneck."""

    @property
    def norm2(self) -> nn.Module:
        return getattr(self, self.norm2_name)

    @property
    def norm3(self) -> nn.Module:
        return self._with_gate(self.last_norm)


#: The blocks whose forward is the plain one, by name, so that neither library is imported for the other.
TAILS = {
    'mmdet.models.backbones.resnet.BasicBlock': SEBasicTail,
    'mmdet.models.backbones.resnet.Bottleneck': SEBottleneckTail,
    'mmdet.models.backbones.resnext.Bottleneck': SEBottleneckTail,
    'mmpretrain.models.backbones.resnet.BasicBlock': SEBasicTail,
    'mmpretrain.models.backbones.resnet.Bottleneck': SEBottleneckTail,
    'mmpretrain.models.backbones.resnext.Bottleneck': SEBottleneckTail,
}


@cache
def _unit_class(block: type[nn.Module]) -> type[SEUnit]:
    tail = TAILS.get(f'{block.__module__}.{block.__qualname__}')
    if tail is None:
        behind = [kind for norm, kind in (('norm3', SEBehindNorm3), ('norm2', SEBehindNorm2)) if hasattr(block, norm)]
        if not behind:
            raise SeMmError(
                f'{block.__name__} is no residual block that SE can be put into: it has neither norm2 nor norm3, '
                "which end the residual branch of mmdet's and mmpretrain's blocks"
            )
        tail = behind[0]
    return made_class(tail, block)
