"""Efficient channel attention (Wang et al., arXiv 1910.03151)."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from ...errors import SeMmError
from .base import Attention, zero
from .operators import mean, no_autocast


class ECALayer(Attention):
    r"""Rescales each channel by a gate computed from the means of its neighbours among the channels.

    .. math:: s = \sigma(\mathrm{conv1d}_k(z)), \quad z_c = \frac{1}{HW} \sum_{i,j} u_c(i, j)

    The weight is ``conv.weight`` of shape (1, 1, k), as in the authors' code and in timm.

    Args:
        in_channels: C, the channels of the map.
        k_size: k, odd. ``None``: equation 12, see :func:`eca_kernel_size`. The authors' ImageNet weights have one
            k per stage instead: 3, 5, 5, 7 for ECA-ResNet-50 and 3, 3, 5, 7 for ECA-ResNet-101.

    Raises:
        SeMmError: if ``k_size`` is no odd positive integer.

    Example:
        >>> ECALayer(256).conv.weight.shape
        torch.Size([1, 1, 5])
    """

    def __init__(self, in_channels: int, k_size: int | None = None) -> None:
        super().__init__(in_channels)
        k_size = eca_kernel_size(in_channels) if k_size is None else k_size
        if isinstance(k_size, bool) or not isinstance(k_size, int) or k_size < 1 or k_size % 2 == 0:
            raise SeMmError(f'ECALayer: k_size must be an odd positive integer, got {k_size!r}')
        self.conv = nn.Conv1d(1, 1, k_size, padding=k_size // 2, bias=False)

    def gate(self, u: Tensor) -> Tensor:
        z = mean(u)
        with no_autocast(z):
            z = z.to(self.conv.weight.dtype).flatten(1)[:, None]
            return self.conv(z).sigmoid()[:, 0, :, None, None].to(u.dtype)

    def gate_of_mean(self) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]] | None:
        return (eca_gate, (self.conv.weight,)) if type(self.conv) is nn.Conv1d else None

    def zero_init_gate(self) -> float:
        zero(self.conv)
        return 0.5


def eca_kernel_size(channels: int) -> int:
    """Equation 12 with gamma = 2 and b = 1: (log2 C + 1) / 2, truncated, the next odd number, at least 3.

    Example:
        >>> [eca_kernel_size(c) for c in (16, 64, 128, 1024, 2048)]
        [3, 3, 5, 5, 7]
    """
    size = int((math.log2(channels) + 1) / 2)
    return max(3, size + 1 - size % 2)


def eca_gate(z: Tensor, weight: Tensor) -> Tensor:
    """``sigmoid(conv1d(z))`` over the channels of z, (N, C, 1, 1) -> (N, C, 1, 1), in the dtype of the weight."""
    with no_autocast(z):
        z = z.to(weight.dtype).flatten(1)[:, None]
        return functional.conv1d(z, weight, padding=weight.shape[-1] // 2).sigmoid()[:, 0, :, None, None]
