"""The squeezes and gates that a config names by a string (tables 11, 12 and 16 of arXiv 1709.01507)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import SeMmError
from .operators import accumulated_in


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
    """An entry of a table.

    Raises:
        SeMmError: with the names that there are.

    Example:
        >>> named(GATES, 'tanh', 'gate')(torch.zeros(1))
        tensor([0.])
    """
    if name not in table:
        raise SeMmError(f'{argument} must be one of {", ".join(table)}, got {name!r}')
    return table[name]
