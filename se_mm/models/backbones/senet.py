"""SENet-154 (Hu et al., arXiv 1709.01507, appendix)."""

from __future__ import annotations

from typing import Any

from mmcv.cnn import build_conv_layer, build_norm_layer
from mmdet.models.backbones import ResNeXt
from mmdet.models.backbones.resnext import Bottleneck
from torch import nn

from ...errors import SeMmError
from ..hosts.attention_host import AttentionHost
from .seresnet import _check_depth


class SENet(AttentionHost, ResNeXt):
    """A 64x4d ResNeXt-152 with SE and the changes of the paper's appendix (a to c).

    The first 1x1 convolution of each bottleneck has half the channels, the 7x7 convolution of the stem is
    three of 3x3, and the shortcut's 1x1 convolutions with stride 2 are 3x3. Channels and strides of the
    stages are those of ResNet-50; ``attention_stages=()`` gives the plain network.

    Args:
        depth: 154, or 16, 28, 40, 52 or 103 for pytorchcv's smaller ones, which have ``groups=32``.
        groups: groups of the 3x3 convolutions.
        base_width: channels of one group in the first stage.
        deep_stem: whether the stem is three 3x3 convolutions.
        stem_channels: of the stem's last convolution.
        reduce_first: by what the channels of each bottleneck's first convolution are divided.
        down_kernel: size of the shortcut's convolutions with a stride or a dilation.
        **kwargs: every argument of ``mmdet.models.ResNeXt``, and those of
            :class:`se_mm.models.hosts.attention_host.AttentionHost`.

    Raises:
        SeMmError: for a depth that does not exist, channels that cannot be divided, a kernel of even size, average
            pooling in the shortcut together with ``down_kernel``, or an SE argument out of range.

    Example:
        >>> import torch
        >>> backbone = SENet(depth=16, groups=32, out_indices=(1, 3)).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 64))]
        [(1, 512, 8, 8), (1, 2048, 2, 2)]
    """

    arch_settings = {
        16: (Bottleneck, (1, 1, 1, 1)),
        28: (Bottleneck, (2, 2, 2, 2)),
        40: (Bottleneck, (3, 3, 3, 3)),
        52: (Bottleneck, (3, 4, 6, 3)),
        103: (Bottleneck, (3, 4, 23, 3)),
        154: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int = 154,
        groups: int = 64,
        base_width: int = 4,
        deep_stem: bool = True,
        stem_channels: int = 128,
        reduce_first: int = 2,
        down_kernel: int = 3,
        **kwargs: Any,
    ) -> None:
        _check_depth(depth, self.arch_settings, type(self).__name__)
        if not isinstance(down_kernel, int) or down_kernel % 2 != 1:
            raise SeMmError(f'down_kernel must be an odd integer, got {down_kernel!r}')
        if down_kernel > 1 and kwargs.get('avg_down'):
            raise SeMmError(f'avg_down=True pools before a 1x1 convolution: it needs down_kernel=1, got {down_kernel}')
        self.reduce_first = reduce_first
        self.down_kernel = down_kernel
        kwargs |= dict(deep_stem=deep_stem, stem_channels=stem_channels)
        super().__init__(depth=depth, groups=groups, base_width=base_width, **kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Sequential:
        """The host's stage, with its convolutions replaced where they differ."""
        layer = super().make_res_layer(**kwargs)
        for unit in layer if self.reduce_first != 1 else ():
            _reduce_first(unit, self.reduce_first)
        unit, kernel = layer[0], self.down_kernel
        if unit.downsample is not None and kernel > 1 and (unit.stride != 1 or unit.dilation != 1):  # as timm does
            old = unit.downsample[0]
            geometry = dict(stride=unit.stride, padding=unit.dilation * (kernel // 2), dilation=unit.dilation)
            unit.downsample[0] = build_conv_layer(
                unit.conv_cfg, old.in_channels, old.out_channels, kernel, bias=False, **geometry
            )
        return layer


def _reduce_first(unit: nn.Module, divisor: int) -> None:
    """Divides the channels between a bottleneck's first two convolutions."""
    width = unit.conv1.out_channels
    if divisor < 1 or width % divisor or width // divisor % unit.conv2.groups:
        raise SeMmError(
            f'reduce_first={divisor} cannot divide {width} channels of {unit.conv2.groups} groups; expected a divisor '
            f'of the {width // unit.conv2.groups} channels of a group'
        )
    old, conv_cfg = unit.conv2, unit.conv_cfg
    deformable = unit.with_dcn and not isinstance(old, nn.Conv2d)
    channels = width // divisor
    unit.conv1 = build_conv_layer(conv_cfg, unit.inplanes, channels, 1, stride=unit.conv1_stride, bias=False)
    setattr(unit, unit.norm1_name, build_norm_layer(unit.norm_cfg, channels)[1])
    geometry = dict(stride=unit.conv2_stride, padding=unit.dilation, dilation=unit.dilation, groups=old.groups)
    unit.conv2 = build_conv_layer(unit.dcn if deformable else conv_cfg, channels, width, 3, bias=False, **geometry)
    if unit.with_plugins:
        for name in unit.after_conv1_plugin_names:
            delattr(unit, name)
        unit.after_conv1_plugin_names = unit.make_block_plugins(channels, unit.after_conv1_plugins)
