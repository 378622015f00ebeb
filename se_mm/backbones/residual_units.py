"""mmdet's residual blocks with squeeze-and-excitation before the addition."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from mmdet.models.backbones.resnext import Bottleneck as GroupedBottleneck
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import SeMmError
from ..layers import SELayer, residual_tail


class SEUnit(nn.Module):
    """What SE adds to a residual block of mmdet; stands before the block in the bases.

    The host builds itself. This adds ``se`` and computes the block as
    ``relu(shortcut + gate(u) * u)``, with u the residual branch up to its last norm. Plugins
    at ``after_conv3`` see the scaled branch.

    Args:
        planes: as in the host.
        reduction: r of :class:`se_mm.layers.SELayer`.
        se_bias: whether the two layers of the excitation have biases.
        se_init: ``'default'``, or ``'identity'``: after ``init_weights`` the unit equals its host.
        **kwargs: the host's other arguments.
    """

    last_norm: str  # the host's property that returns the norm at the end of the residual branch

    def __init__(
        self, planes: int, reduction: int = 16, se_bias: bool = True, se_init: str = 'default', **kwargs: Any
    ) -> None:
        super().__init__(planes=planes, **kwargs)
        self.se = SELayer(planes * self.expansion, reduction, bias=se_bias)
        self.se_init = se_init
        norm = getattr(self, self.last_norm)
        if se_init == 'identity' and getattr(norm, 'weight', None) is None:
            raise SeMmError(
                f"se_init='identity' doubles the scale and shift of the branch's last norm, and {norm} has none; "
                "use a norm with affine=True, or se_init='default'"
            )

    @property
    def last_norm_name(self) -> str:
        """The name of that norm's parameters (``bn3``)."""
        return getattr(self, f'{self.last_norm}_name')

    def init_weights(self) -> None:
        first_time = not self.is_init
        super().init_weights()
        if first_time and self.se_init == 'identity':
            self.start_as_plain()

    @torch.no_grad()
    def start_as_plain(self) -> None:
        """Half-open gates on a branch twice as large: equal to the host in every bit, and the gates learn at once."""
        self.se.start_half_open()
        norm = getattr(self, self.last_norm)
        norm.weight.mul_(2)
        norm.bias.mul_(2)

    def residual_branch(self, x: Tensor) -> Tensor:
        """u: the host's convolutions, norms and activations before the addition."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return checkpoint(self.residual_unit, x, use_reentrant=False)
        return self.residual_unit(x)

    def residual_unit(self, x: Tensor) -> Tensor:
        u = self.residual_branch(x)
        shortcut = x if self.downsample is None else self.downsample(x)
        plugins = getattr(self, 'after_conv3_plugin_names', ())
        if not plugins:
            return residual_tail(u, shortcut, self.se.gate(u), self.relu)
        return self.relu(shortcut + self.forward_plugin(self.se(u), plugins))


class SEBasicBlock(SEUnit, BasicBlock):
    """Two 3x3 convolutions (ResNet-18 and -34)."""

    last_norm = 'norm2'

    def residual_branch(self, x: Tensor) -> Tensor:
        u = self.relu(self.norm1(self.conv1(x)))
        return self.norm2(self.conv2(u))


class SEBottleneckUnit(SEUnit):
    """1x1, 3x3, 1x1 with mmdet's plugins between them."""

    last_norm = 'norm3'

    def residual_branch(self, x: Tensor) -> Tensor:
        u = self.relu(self.norm1(self.conv1(x)))
        if self.with_plugins:
            u = self.forward_plugin(u, self.after_conv1_plugin_names)
        u = self.relu(self.norm2(self.conv2(u)))
        if self.with_plugins:
            u = self.forward_plugin(u, self.after_conv2_plugin_names)
        return self.norm3(self.conv3(u))


class SEBottleneck(SEBottleneckUnit, Bottleneck):
    """ResNet-50, -101 and -152."""


class SEGroupedBottleneck(SEBottleneckUnit, GroupedBottleneck):
    """ResNeXt: the 3x3 convolution in groups."""


#: The SE twin of each block that a host can build.
SE_UNITS = {BasicBlock: SEBasicBlock, Bottleneck: SEBottleneck, GroupedBottleneck: SEGroupedBottleneck}
