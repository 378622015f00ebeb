"""Pre-activation ResNets and Wide ResNets for CIFAR (He et al., arXiv 1603.05027; Zagoruyko, arXiv 1605.07146)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from .cifar_backbone import CIFARBackbone, conv, units_in


class PreActUnit(nn.Module):
    """``x + F(x)`` with norm and ReLU before each convolution (figure 1b of arXiv 1603.05027).

    Where the number of channels or the size changes, the shortcut is a 1x1 convolution of the
    map after the first norm and ReLU. ``se`` is where attention stands, on the last convolution's output.
    A ``bottleneck`` has 1x1, 3x3 and 1x1 convolutions in place of two 3x3; ``norm`` makes one for a number of channels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, bottleneck: bool, norm: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        width = out_channels // 4 if bottleneck else out_channels
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        channels = (in_channels, *[width] * (len(kernels) - 1), out_channels)
        for i, kernel in enumerate(kernels):
            self.add_module(f'bn{i + 1}', norm(channels[i]))
            step = stride if i == kernels.index(3) else 1
            self.add_module(f'conv{i + 1}', conv(channels[i], channels[i + 1], kernel, step))
        #: Of the convolution that ends the residual branch.
        self.last_conv_name = f'conv{len(kernels)}'
        self.relu = nn.ReLU(inplace=True)
        self.se = nn.Identity()
        changes = stride != 1 or in_channels != out_channels
        self.downsample = conv(in_channels, out_channels, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        activated = self.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(activated)
        u = self.conv2(self.relu(self.bn2(self.conv1(activated))))
        if self.last_conv_name == 'conv3':
            u = self.conv3(self.relu(self.bn3(u)))
        return shortcut + self.se(u)


class PreActResNetCIFAR(CIFARBackbone):
    """The pre-activation ResNet for 32x32 pictures, as in tables 4 and 5 of arXiv 1709.01507.

    A 3x3 convolution to 16 channels, three stages of n units at strides 1, 2 and 4, a norm and
    a ReLU. Its SE twin is ``SETwin('se_mm.PreActResNetCIFAR', ...)``.

    Args:
        depth: 6n + 2 (20, 32, 44, 56, 110), with ``bottleneck`` 9n + 2 (29, 164, 1001).
        bottleneck: units of 1x1, 3x3 and 1x1 convolutions, with four times the channels.
        widen_factor: multiplies the channels of the stages.
        **kwargs: see :class:`se_mm.models.backbones.cifar_backbone.CIFARBackbone`.

    Raises:
        SeMmError: for a depth that does not exist.

    Example:
        >>> import torch
        >>> backbone = PreActResNetCIFAR(depth=20, out_indices=(0, 1, 2))
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(2, 3, 32, 32))]
        [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]
    """

    #: Layers outside of the units: the stem and the classifier.
    other_layers = 2

    def __init__(self, depth: int, bottleneck: bool = False, widen_factor: int = 1, **kwargs: Any) -> None:
        kind = f'{type(self).__name__}{" with bottlenecks" if bottleneck else ""}'
        units = units_in(depth, 9 if bottleneck else 6, self.other_layers, kind)
        self.depth, self.bottleneck = depth, bottleneck
        widths = [width * widen_factor * (4 if bottleneck else 1) for width in (16, 32, 64)]
        super().__init__(widths, units, **kwargs)

    def make_stem(self) -> int:
        self.conv1 = conv(3, 16, 3)
        return 16

    def make_unit(self, in_channels: int, out_channels: int, stride: int) -> PreActUnit:
        return PreActUnit(in_channels, out_channels, stride, self.bottleneck, self.norm)

    def make_end(self, channels: int) -> None:
        self.bn = self.norm(channels)
        self.relu = nn.ReLU(inplace=True)

    def end(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(x))


class WideResNetCIFAR(PreActResNetCIFAR):
    """Wide ResNet for 32x32 pictures: WRN-16-8 is ``WideResNetCIFAR(16, 8)``; without dropout.

    Args:
        depth: 6n + 4 (16, 28, 40): it counts the convolutions of the shortcuts too.
        widen_factor: k, which multiplies the 16, 32 and 64 channels.
        **kwargs: see :class:`se_mm.models.backbones.cifar_backbone.CIFARBackbone`.

    Raises:
        SeMmError: for a depth that does not exist.

    Example:
        >>> sum(p.numel() for p in WideResNetCIFAR(16, 8).parameters())
        10956240
    """

    other_layers = 4

    def __init__(self, depth: int = 16, widen_factor: int = 8, **kwargs: Any) -> None:
        super().__init__(depth, widen_factor=widen_factor, **kwargs)
