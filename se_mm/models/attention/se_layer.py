"""The squeeze-and-excitation block (Hu et al., arXiv 1709.01507, section 3)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .base import Attention
from .operators import accumulated_in, excitation, no_autocast, squeeze_channels


class SELayer(Attention):
    r"""Rescales each channel of a map by a gate computed from the channel means.

    .. math::
        z_c = \frac{1}{HW} \sum_{i,j} u_c(i, j), \quad
        s = \sigma(W_2\, \mathrm{ReLU}(W_1 z + b_1) + b_2), \quad
        \tilde{u}_c = s_c u_c

    (equations 2, 3 and 4 of the paper; the published networks all have the biases.) The two
    layers are 1x1 convolutions called ``fc1`` and ``fc2``, which are the names and shapes of
    timm's checkpoints. The gate is computed in float32 under autocast: its input can be as
    large as the map, and a half-precision sum over the channels overflows.

    Usable as an mmcv plugin in any mmdet ResNet:
    ``plugins=[dict(cfg=dict(type='se_mm.SELayer'), position='after_conv3')]``.

    Args:
        in_channels: C, the channels of the map.
        reduction: r, the reduction ratio; see :func:`squeeze_channels`.
        bias: whether the two layers have biases.
        divisor: what the width of the first layer is rounded to a multiple of; 1: ``C // r``.

    Raises:
        SeMmError: if ``reduction`` or ``divisor`` is no positive integer.

    Example:
        >>> layer = SELayer(256)
        >>> layer.fc1.weight.shape, layer.fc2.weight.shape
        (torch.Size([16, 256, 1, 1]), torch.Size([256, 16, 1, 1]))
        >>> layer(torch.ones(2, 256, 7, 5)).shape
        torch.Size([2, 256, 7, 5])
    """

    _abbr_ = 'se'  # the name that mmcv's build_plugin_layer gives it in a host

    def __init__(self, in_channels: int, reduction: int = 16, bias: bool = True, divisor: int = 8) -> None:
        super().__init__(in_channels)
        hidden = squeeze_channels(in_channels, reduction, divisor)
        self.reduction = reduction
        self.divisor = divisor
        self.fc1 = nn.Conv2d(in_channels, hidden, 1, bias=bias)
        self.fc2 = nn.Conv2d(hidden, in_channels, 1, bias=bias)

    def squeeze(self, u: Tensor) -> Tensor:
        """z, the mean over height and width: (N, C, H, W) -> (N, C, 1, 1), float32 for half-precision maps."""
        return u.mean((2, 3), keepdim=True, dtype=accumulated_in(u))

    def excitation(self, z: Tensor) -> Tensor:
        """s, the gate in (0, 1): (N, C, 1, 1) -> (N, C, 1, 1), in the dtype of the parameters."""
        with no_autocast(z):
            hidden = functional.relu(self.fc1(z.to(self.fc1.weight.dtype)))
            return torch.sigmoid(self.fc2(hidden))

    def gate(self, u: Tensor) -> Tensor:
        """s for the map ``u``: (N, C, H, W) -> (N, C, 1, 1), in the dtype of ``u``."""
        return self.excitation(self.squeeze(u)).to(u.dtype)

    def gate_of_mean(self) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]]:
        return excitation, (self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias)

    @torch.no_grad()
    def zero_init_gate(self) -> float:
        """Zero-initialises fc2: each gate is exactly 1/2, where the sigmoid is steepest, whatever the input."""
        self.fc2.weight.zero_()
        if self.fc2.bias is not None:
            self.fc2.bias.zero_()
        return 0.5

    def extra_repr(self) -> str:
        return f'in_channels={self.in_channels}, reduction={self.reduction}'
