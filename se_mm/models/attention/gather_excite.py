"""Gather-excite without parameters, GE-theta-minus (Hu et al., arXiv 1810.12348)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import SeMmError
from .base import Attention
from .operators import mean


class GatherExcite(Attention):
    """Rescales each position by the sigmoid of the mean around it.

    Gather: average pooling over windows of 2 e - 1 with stride e, the extent. Excite: the sigmoid, resized to the
    map by the nearest neighbour (section 3.2).

    Args:
        in_channels: C, the channels of the map.
        extent: e, even; 0: the whole map, the paper's best.

    Raises:
        SeMmError: for an odd or negative ``extent``.

    Example:
        >>> GatherExcite(8, extent=2).gate(torch.zeros(1, 8, 5, 4)).shape
        torch.Size([1, 8, 5, 4])
    """

    settings = ('extent',)

    def __init__(self, in_channels: int, extent: int = 0) -> None:
        super().__init__(in_channels)
        if not isinstance(extent, int) or extent < 0 or extent % 2:
            raise SeMmError(f'GatherExcite: extent must be 0 (the whole map) or positive and even, got {extent!r}')
        self.extent = extent

    def gate(self, u: Tensor) -> Tensor:
        if self.extent == 0:
            return mean(u).sigmoid().to(u.dtype)
        window = 2 * self.extent - 1
        gathered = functional.avg_pool2d(u, window, self.extent, window // 2, count_include_pad=False)
        # The sigmoid before the resizing, which copies values: fewer of them.
        return functional.interpolate(gathered.sigmoid(), size=u.shape[2:])

    def gate_of_mean(self) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]] | None:
        return (torch.sigmoid, ()) if self.extent == 0 else None
