"""The squeeze-and-excitation block (Hu et al., arXiv 1709.01507, section 3)."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import SeMmError

_HALF = (torch.float16, torch.bfloat16)


def squeeze_channels(channels: int, reduction: int) -> int:
    """Width of the bottleneck between the two fully connected layers of the excitation.

    C / r, rounded to the nearest multiple of 8 and at least 8, as timm's ``SEModule`` and
    mmpretrain's ``SELayer`` do: for the paper's r = 16 this shows only at C = 64.

    Args:
        channels: C, the channels of the map that is scaled.
        reduction: r, the reduction ratio.

    Returns:
        The number of channels after the first layer.

    Raises:
        SeMmError: if ``reduction`` is not a positive integer, or larger than ``channels``.

    Example:
        >>> [squeeze_channels(c, 16) for c in (64, 256, 2048)]
        [8, 16, 128]
    """
    if isinstance(reduction, bool) or not isinstance(reduction, int) or reduction < 1:
        raise SeMmError(f'reduction must be a positive integer, got {reduction!r}')
    if reduction > channels:
        raise SeMmError(f'reduction {reduction} is larger than the {channels} channels that it is to reduce')
    return max(8, int(channels / reduction + 4) // 8 * 8)


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


def accumulated_in(u: Tensor) -> torch.dtype | None:
    """The dtype for sums over a map: float32 for half-precision maps, else the map's own (``None``)."""
    return torch.float32 if u.dtype in _HALF else None


def excitation(z: Tensor, w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None) -> Tensor:
    """``sigmoid(W2 relu(W1 z + b1) + b2)`` (equation 3), never in half precision under autocast.

    Args:
        z: (N, C, 1, 1).
        w1: (C/r, C, 1, 1).
        b1: (C/r,) or ``None``.
        w2: (C, C/r, 1, 1).
        b2: (C,) or ``None``.

    Returns:
        The gate, (N, C, 1, 1), in the dtype of the weights.

    Example:
        >>> excitation(torch.ones(1, 2, 1, 1), torch.ones(1, 2, 1, 1), None, torch.zeros(2, 1, 1, 1), None).flatten()
        tensor([0.5000, 0.5000])
    """
    with _no_autocast(z.device.type):
        # On maps of one element a product of matrices is quicker than a convolution.
        hidden = functional.linear(z.to(w1.dtype).flatten(1), w1.flatten(1), b1).relu_()
        return functional.linear(hidden, w2.flatten(1), b2).sigmoid_()[..., None, None]


def _no_autocast(device_type: str) -> nullcontext | torch.autocast:
    # Entered only where autocast is on: some devices ('meta') have none, and the context is not free.
    if device_type != 'meta' and torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
