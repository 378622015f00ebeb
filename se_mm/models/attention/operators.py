"""Squeeze, excitation and their widths as functions on tensors (Hu et al., arXiv 1709.01507, section 3)."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import SeMmError

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
