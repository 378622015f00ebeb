"""The squeeze-and-excitation block (Hu et al., arXiv 1709.01507, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .operators import accumulated_in, excitation, squeeze_channels


class SELayer(nn.Module):
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

    Raises:
        SeMmError: if ``reduction`` is not between 1 and ``in_channels``.

    Example:
        >>> layer = SELayer(256)
        >>> layer.fc1.weight.shape, layer.fc2.weight.shape
        (torch.Size([16, 256, 1, 1]), torch.Size([256, 16, 1, 1]))
        >>> layer(torch.ones(2, 256, 7, 5)).shape
        torch.Size([2, 256, 7, 5])
    """

    _abbr_ = 'se'  # the name that mmcv's build_plugin_layer gives it in a host

    def __init__(self, in_channels: int, reduction: int = 16, bias: bool = True) -> None:
        super().__init__()
        hidden = squeeze_channels(in_channels, reduction)
        self.in_channels = in_channels
        self.reduction = reduction
        self.fc1 = nn.Conv2d(in_channels, hidden, 1, bias=bias)
        self.fc2 = nn.Conv2d(hidden, in_channels, 1, bias=bias)

    def squeeze(self, u: Tensor) -> Tensor:
        """z, the mean over height and width: (N, C, H, W) -> (N, C, 1, 1), float32 for half-precision maps."""
        return u.mean((2, 3), keepdim=True, dtype=accumulated_in(u))

    def excitation(self, z: Tensor) -> Tensor:
        """s, the gate in (0, 1): (N, C, 1, 1) -> (N, C, 1, 1), in the dtype of the parameters."""
        return excitation(z, *self.weights())

    def weights(self) -> tuple[Tensor | None, ...]:
        """W1, b1, W2 and b2, as :func:`excitation` takes them; without biases two of them are ``None``."""
        return self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias

    def gate(self, u: Tensor) -> Tensor:
        """s for the map ``u``: (N, C, H, W) -> (N, C, 1, 1), in the dtype of ``u``."""
        return self.excitation(self.squeeze(u)).to(u.dtype)

    def forward(self, u: Tensor) -> Tensor:
        """The rescaled map, of the shape and dtype of ``u``."""
        return u * self.gate(u)

    @torch.no_grad()
    def start_half_open(self) -> None:
        """Sets W2 and b2 to zero: each gate is exactly 1/2, where the sigmoid is steepest, whatever the input."""
        self.fc2.weight.zero_()
        if self.fc2.bias is not None:
            self.fc2.bias.zero_()

    def extra_repr(self) -> str:
        return f'in_channels={self.in_channels}, reduction={self.reduction}'
