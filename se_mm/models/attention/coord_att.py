"""Coordinate attention (Hou et al., arXiv 2103.02907)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .base import Attention, zero
from .operators import accumulated_in, check_positive, no_autocast


class CoordAtt(Attention):
    """Two gates, one along the height and one along the width, from the means of rows and columns.

    The means over the width (N, C, H, 1) and over the height (N, C, 1, W) share a 1x1 convolution C -> m,
    a norm and a hard swish; each then has its own 1x1 convolution m -> C and a sigmoid: ``u * s_h * s_w``
    (equations 4 to 8). The keys are the authors' and timm's, whose ``CoordAttn`` has other widths and no biases.

    Args:
        in_channels: C, the channels of the map.
        reduction: m = max(8, C // reduction).
        bias: whether the three convolutions have biases.

    Raises:
        SeMmError: if ``reduction`` is no positive integer.

    Example:
        >>> CoordAtt(512).conv1
        Conv2d(512, 16, kernel_size=(1, 1), stride=(1, 1))
    """

    def __init__(self, in_channels: int, reduction: int = 32, bias: bool = True) -> None:
        super().__init__(in_channels)
        check_positive(reduction=reduction)
        hidden = max(8, in_channels // reduction)
        self.conv1 = nn.Conv2d(in_channels, hidden, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv_h = nn.Conv2d(hidden, in_channels, 1, bias=bias)
        self.conv_w = nn.Conv2d(hidden, in_channels, 1, bias=bias)

    def gates(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """s_h (N, C, H, 1) and s_w (N, C, 1, W), in the dtype of ``u``."""
        rows = u.mean(3, keepdim=True, dtype=accumulated_in(u))
        columns = u.mean(2, keepdim=True, dtype=accumulated_in(u)).transpose(2, 3)
        with no_autocast(u):
            strips = torch.cat([rows, columns], 2).to(self.conv1.weight.dtype)
            strips = functional.hardswish(self.bn1(self.conv1(strips)))
            rows, columns = strips.split(u.shape[2:], 2)
            s_h, s_w = self.conv_h(rows).sigmoid(), self.conv_w(columns).sigmoid().transpose(2, 3)
            return s_h.to(u.dtype), s_w.to(u.dtype)

    def gate(self, u: Tensor) -> Tensor:
        s_h, s_w = self.gates(u)
        return s_h * s_w

    def forward(self, u: Tensor) -> Tensor:
        s_h, s_w = self.gates(u)
        return u * s_w * s_h

    def zero_init_gate(self) -> float:
        zero(self.conv_h)
        zero(self.conv_w)
        return 0.25
