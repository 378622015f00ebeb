"""The tail of a squeeze-and-excitation residual unit: scale, add, activate."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .eager import is_recorded


def residual_tail(u: Tensor, shortcut: Tensor, s: Tensor, act: Callable[[Tensor], Tensor]) -> Tensor:
    """``act(shortcut + s * u)``, figure 3 of the paper from the scale on.

    Scale and sum are one pass (``addcmul``), as in the authors' own "Axpy" layer: the tail is bound by memory traffic.

    Args:
        u: the residual branch, (N, C, H, W); written over where no gradient is recorded.
        shortcut: the identity or its projection, (N, C, H, W); never written to.
        s: the gate, (N, C, 1, 1).
        act: the activation of the unit; an in-place one saves a map.

    Example:
        >>> u, shortcut = torch.full((1, 2, 1, 1), 3.0), torch.tensor([1.0, -9.0]).view(1, 2, 1, 1)
        >>> residual_tail(u, shortcut, torch.full((1, 2, 1, 1), 0.5), torch.relu_).flatten()
        tensor([2.5000, 0.0000])
    """
    return act(torch.addcmul(shortcut, u, s, out=None if is_recorded(u, shortcut, s) else u))
