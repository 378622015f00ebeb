"""Frequency channel attention (Qin et al., FcaNet, arXiv 2012.11879)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...errors import SeMmError
from .base import Attention, zero
from .operators import accumulated_in, no_autocast, squeeze_channels

#: Frequencies of a 7 x 7 spectrum, row and column, as the authors' code ranks them.
_FREQUENCIES = {
    'top': '00 01 60 05 02 10 12 40 50 16 30 04 06 03 35 22 46 63 33 53 55 21 61 52 54 32 31 41 23 20 65 13',
    'low': '00 01 10 11 02 20 21 12 22 03 30 40 04 13 31 05 14 23 32 41 50 06 15 24 33 42 51 60 16 25 34 43',
    'bot': '66 14 34 36 26 43 11 24 44 45 56 15 42 62 25 51 64 13 65 20 23 41 31 32 54 52 61 21 55 53 33 63',
}


class FcaLayer(Attention):
    """SE that squeezes by components of the discrete cosine transform; the mean is the lowest of them.

    Each component squeezes its own group of the channels. Maps are pooled to ``dct_size`` first, as in the authors'
    detectors: the windows of the pooling and the cosines make one weight for each position of the map. Frequencies
    are those of a 7 x 7 spectrum times ``dct_size / 7``, so weights belong to one ``dct_size``: the authors' FcaNet
    has 56, 28, 14, 7 for its four stages.

    Args:
        in_channels: C, the channels of the map.
        reduction: r, the reduction ratio of the excitation.
        components: ``'top16'``, ``'low8'``, ``'bot32'`` ...: the first 1, 2, 4, 8, 16 or 32 of a ranking.
        dct_size: height and width of the transform, a multiple of 7.
        bias: whether the two layers have biases; the authors' have none.
        divisor: the hidden width is a multiple of it; see :func:`squeeze_channels`.

    Raises:
        SeMmError: for unknown ``components``, another ``dct_size``, or channels that cannot be split.

    Example:
        >>> FcaLayer(256, dct_size=56).basis.shape
        torch.Size([16, 56, 56])
    """

    settings = ('components', 'dct_size')
    basis: Tensor

    def __init__(
        self,
        in_channels: int,
        reduction: int = 16,
        components: str = 'top16',
        dct_size: int = 7,
        bias: bool = False,
        divisor: int = 1,
    ) -> None:
        super().__init__(in_channels)
        if not isinstance(dct_size, int) or dct_size < 7 or dct_size % 7:
            raise SeMmError(f'FcaLayer: dct_size must be a multiple of 7, got {dct_size!r}')
        basis = dct_basis(components, dct_size)
        if in_channels % len(basis):
            raise SeMmError(f'FcaLayer: {in_channels} channels cannot be split between {len(basis)} components')
        self.components = components
        self.dct_size = dct_size
        self.register_buffer('basis', basis, persistent=False)
        self.register_load_state_dict_post_hook(_restore_basis)
        hidden = squeeze_channels(in_channels, reduction, divisor)
        self.fc1 = nn.Conv2d(in_channels, hidden, 1, bias=bias)
        self.fc2 = nn.Conv2d(hidden, in_channels, 1, bias=bias)

    def squeeze(self, u: Tensor) -> Tensor:
        """The component of each channel: (N, C, H, W) -> (N, C, 1, 1), float32 for half-precision maps."""
        with no_autocast(u):
            rows, columns = (_windows(u, side, self.basis) for side in (2, 3))
            weights = rows.mT @ self.basis @ columns
        grouped = u.unflatten(1, (self.basis.shape[0], -1))
        return (grouped * weights[:, None]).sum((3, 4), dtype=accumulated_in(u)).flatten(1)[..., None, None]

    def gate(self, u: Tensor) -> Tensor:
        z = self.squeeze(u)
        with no_autocast(z):
            return self.fc2(self.fc1(z.to(self.fc1.weight.dtype)).relu()).sigmoid().to(u.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FcaLayer:
        super()._apply(fn, recurse)
        _restore_basis(self)  # which ``to_empty`` leaves without values
        return self

    def zero_init_gate(self) -> float:
        zero(self.fc2)
        return 0.5


def _restore_basis(layer: FcaLayer, _: object = None) -> None:
    """Computes what no state dict holds, on the device and in the dtype of what it is multiplied with."""
    like = layer.fc1.weight if layer.basis.is_meta else layer.basis
    layer.basis = dct_basis(layer.components, layer.dct_size).to(like)


def _windows(u: Tensor, side: int, basis: Tensor) -> Tensor:
    """Adaptive average pooling of a map along a side to the size of the basis, as a matrix (size, side).

    Of operators for any side, so that a trace or an export holds for all of them.
    """
    size = basis.size(-1)
    position = u.new_ones(u.shape[side], dtype=torch.float32).cumsum(0) - 1
    first = torch.arange(size, device=u.device)[:, None] * u.shape[side]
    inside = ((position >= first // size) & (position < -(-(first + u.shape[side]) // size))).to(basis)
    return inside / inside.sum(1, keepdim=True)


def dct_basis(components: str, size: int) -> Tensor:
    """The orthonormal two-dimensional cosines of the ``components`` of :class:`FcaLayer`: (n, size, size), float32.

    Raises:
        SeMmError: for unknown ``components``.
    """
    match = re.fullmatch('(top|low|bot)(1|2|4|8|16|32)', components)
    if match is None:
        raise SeMmError(f"FcaLayer: components must be 'top16', 'low8', 'bot1' or the like, got {components!r}")
    pairs = _FREQUENCIES[match[1]].split()[: int(match[2])]
    frequencies = torch.tensor([[int(digit) for digit in pair] for pair in pairs], dtype=torch.float64) * (size // 7)
    position = torch.arange(size, dtype=torch.float64) + 0.5
    waves = torch.cos(math.pi / size * frequencies[..., None] * position) / math.sqrt(size)
    waves *= torch.where(frequencies == 0, 1.0, math.sqrt(2.0))[..., None]
    return (waves[:, 0, :, None] * waves[:, 1, None, :]).float()
