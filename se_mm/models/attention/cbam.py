"""The convolutional block attention module (Woo et al., arXiv 1807.06521)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from ...errors import SeMmError
from .base import Attention, zero
from .operators import accumulated_in, check_positive, maximum, mean, no_autocast, squeeze_channels

ORDERS = ('max_mean', 'mean_max')


class CBAM(Attention):
    r"""A channel gate, then a spatial gate on the map that it gives.

    .. math::
        s_c &= \sigma(\mathrm{MLP}(\mathrm{avg}\, u) + \mathrm{MLP}(\mathrm{max}\, u)), \quad u' = s_c u \\
        s_s &= \sigma(\mathrm{BN}(\mathrm{conv}_{7 \times 7}([\max_c u'; \mathrm{mean}_c u']))), \quad \tilde u = s_s u'

    (equations 2 and 3; the norm is in the authors' code). The keys are those of timm's ``CbamModule``;
    the defaults are the authors' network, timm's has ``bias=False, order='mean_max'``.

    Args:
        in_channels: C, the channels of the map.
        reduction: r, the reduction ratio of the MLP.
        bias: whether the two layers of the MLP have biases.
        kernel_size: size of the spatial convolution, odd.
        order: of its two input maps, ``'max_mean'`` or ``'mean_max'``; weights of one are wrong in the other.
        divisor: the hidden width is a multiple of it; see :func:`squeeze_channels`.

    Raises:
        SeMmError: for an unknown ``order``, an even ``kernel_size`` or a ``reduction`` out of range.

    Example:
        >>> sum(p.numel() for p in CBAM(256).parameters())
        8564
    """

    settings = ('order',)

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        bias: bool = True,
        kernel_size: int = 7,
        order: str = 'max_mean',
        divisor: int = 1,
    ) -> None:
        super().__init__(in_channels)
        if order not in ORDERS:
            raise SeMmError(f'CBAM: order must be one of {ORDERS}, got {order!r}')
        check_positive(kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise SeMmError(f'CBAM: kernel_size must be odd, got {kernel_size}')
        self.order = order
        self.channel = _ChannelGate(in_channels, squeeze_channels(in_channels, reduction, divisor), bias)
        self.spatial = _SpatialGate(kernel_size, order)

    def gate(self, u: Tensor) -> Tensor:
        channel = self.channel(u)
        return channel * self.spatial(u * channel)

    def forward(self, u: Tensor) -> Tensor:
        u = u * self.channel(u)
        return u * self.spatial(u)

    def zero_init_gate(self) -> float:
        zero(self.channel.fc2)
        # The scale of the norm and not the convolution: normalising a map of zeros would
        # magnify the first step of the convolution to unit variance.
        zero(self.spatial.conv.bn)
        return 0.25


class _ChannelGate(nn.Module):
    def __init__(self, channels: int, hidden: int, bias: bool) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, u: Tensor) -> Tensor:
        pooled = mean(u), maximum(u)
        with no_autocast(u):
            of_mean, of_maximum = (self.fc2(self.fc1(z.to(self.fc1.weight.dtype)).relu()) for z in pooled)
            return (of_mean + of_maximum).sigmoid().to(u.dtype)


class _SpatialGate(nn.Module):
    def __init__(self, kernel_size: int, order: str) -> None:
        super().__init__()
        conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.conv = nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(1, momentum=0.01)))
        self.order = order

    def forward(self, u: Tensor) -> Tensor:
        maps = [u.amax(1, keepdim=True), u.mean(1, keepdim=True, dtype=accumulated_in(u))]
        if self.order == 'mean_max':
            maps.reverse()
        with no_autocast(u):
            weight = self.conv.conv.weight
            return self.conv(torch.cat([m.to(weight.dtype) for m in maps], 1)).sigmoid().to(u.dtype)
