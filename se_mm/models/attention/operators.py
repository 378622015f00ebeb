"""Squeezes, gates, excitation and its width as functions (Hu et al., arXiv 1709.01507, section 3, tables 11 to 16)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import SeMmError


def squeeze_channels(channels: int, reduction: int, divisor: int = 8) -> int:
    """Width of the layer between squeeze and gate, from the channels C of the map and the reduction ratio r.

    C / r, rounded to the nearest multiple of ``divisor`` and at least ``divisor``: timm's ``SEModule`` with
    ``rd_divisor``. mmpretrain's ``SELayer`` rounds up where rounding loses more than a tenth (176 channels give 16
    there and 8 here). The authors' release and the CIFAR papers have ``C // r``: ``divisor=1``.

    Raises:
        SeMmError: if ``reduction`` or ``divisor`` is no positive integer.

    Example:
        >>> [squeeze_channels(c, 16) for c in (64, 256, 2048)]
        [8, 16, 128]
        >>> [squeeze_channels(c, 16, divisor=1) for c in (8, 216, 1088)]
        [1, 13, 68]
    """
    check_positive(reduction=reduction, divisor=divisor)
    if divisor == 1:
        return max(1, channels // reduction)
    return max(divisor, int(channels * (1 / reduction) + divisor / 2) // divisor * divisor)


def check_positive(**arguments: Any) -> None:
    """Raises an SeMmError for an argument that is no positive integer."""
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SeMmError(f'{name} must be a positive integer, got {value!r}')


def accumulated_in(u: Tensor) -> torch.dtype | None:
    """The dtype for sums over a map: float32 for half-precision maps, else the map's own (``None``)."""
    # A proxy of torch.fx stands for a tensor of any dtype.
    return torch.float32 if isinstance(u, Tensor) and u.dtype in (torch.float16, torch.bfloat16) else None


def mean(u: Tensor) -> Tensor:
    """Over height and width: (N, C, H, W) -> (N, C, 1, 1), float32 for half-precision maps."""
    return u.mean((2, 3), keepdim=True, dtype=accumulated_in(u))


def maximum(u: Tensor) -> Tensor:
    """Over height and width: (N, C, H, W) -> (N, C, 1, 1)."""
    return u.amax((2, 3), keepdim=True)


def half_mean_half_maximum(u: Tensor) -> Tensor:
    """As timm's ``add_maxpool``: (N, C, H, W) -> (N, C, 1, 1), float32 for half-precision maps."""
    return 0.5 * mean(u) + 0.5 * maximum(u)


def every_position(u: Tensor) -> Tensor:
    """No squeeze: each position has its own gate (table 16, NoSqueeze)."""
    return u


SQUEEZES: dict[str, Callable[[Tensor], Tensor]] = {
    'avg': mean,
    'max': maximum,
    'avg_max': half_mean_half_maximum,
    'none': every_position,
}
GATES: dict[str, Callable[[Tensor], Tensor]] = {
    'sigmoid': torch.sigmoid,
    'tanh': torch.tanh,
    'relu': torch.relu,
    'hard_sigmoid': functional.hardsigmoid,
}
#: The gates that are not zero at zero, and their value there.
AT_ZERO = {'sigmoid': 0.5, 'hard_sigmoid': 0.5}


def named(table: Mapping[str, Callable[..., Any]], name: str, argument: str) -> Callable[..., Any]:
    """An entry of a table; raises an SeMmError with the names that there are."""
    if name not in table:
        raise SeMmError(f'{argument} must be one of {", ".join(table)}, got {name!r}')
    return table[name]


def excitation(
    z: Tensor,
    w1: Tensor,
    b1: Tensor | None,
    w2: Tensor,
    b2: Tensor | None,
    gate: Callable[[Tensor], Tensor] = torch.sigmoid,
) -> Tensor:
    """``gate(W2 relu(W1 z + b1) + b2)`` (equation 3), never in half precision under autocast.

    Args:
        z: the squeeze, (N, C, 1, 1).
        w1: (C/r, C, 1, 1).
        b1: (C/r,) or ``None``.
        w2: (C, C/r, 1, 1).
        b2: (C,) or ``None``.
        gate: the last non-linearity.

    Returns:
        The gate, (N, C, 1, 1), in the dtype of the weights.

    Example:
        >>> excitation(torch.ones(1, 2, 1, 1), torch.ones(1, 2, 1, 1), None, torch.zeros(2, 1, 1, 1), None).flatten()
        tensor([0.5000, 0.5000])
    """
    with no_autocast(z):
        # On maps of one element a product of matrices is quicker than a convolution.
        hidden = functional.linear(z.to(w1.dtype).flatten(1), w1.flatten(1), b1).relu_()
        return gate(functional.linear(hidden, w2.flatten(1), b2))[..., None, None]


def no_autocast(z: Tensor) -> nullcontext | torch.autocast:
    """Switches autocast off for the device of a tensor."""
    # Entered only where autocast is on: some devices ('meta') have none, and the context is not free.
    if isinstance(z, Tensor) and z.device.type != 'meta' and torch.is_autocast_enabled(z.device.type):
        return torch.autocast(z.device.type, enabled=False)
    return nullcontext()
