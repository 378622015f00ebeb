"""SimAM, attention without parameters (Yang et al., ICML 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Attention
from .operators import accumulated_in


class SimAM(Attention):
    r"""Rescales each position by how far it stands out from the mean of its channel.

    .. math:: s = \sigma\left(\frac{(u - \mu)^2}{4 (\hat\sigma^2 + \lambda)} + \frac12\right), \quad
        \hat\sigma^2 = \frac{1}{HW - 1} \sum (u - \mu)^2

    (equation 5 and the authors' code). The gate is never below sigmoid(1/2) = 0.62, and never constant.

    Args:
        in_channels: C, the channels of the map.
        e_lambda: :math:`\lambda`.

    Example:
        >>> SimAM(4).gate(torch.ones(1, 4, 3, 3)).unique()
        tensor([0.6225])
    """

    settings = ('e_lambda',)

    def __init__(self, in_channels: int, e_lambda: float = 1e-4) -> None:
        super().__init__(in_channels)
        self.e_lambda = e_lambda

    def gate(self, u: Tensor) -> Tensor:
        full = u.to(accumulated_in(u) or u.dtype)  # squares of half-precision maps overflow
        square = (full - full.mean((2, 3), keepdim=True)).square()
        count = torch.ones_like(square[:1, :1]).sum((2, 3), keepdim=True)  # a tensor: traces keep it, for any size
        variance = square.sum((2, 3), keepdim=True) / (count - 1).clamp(min=1)
        return (square / (4 * (variance + self.e_lambda)) + 0.5).sigmoid().to(u.dtype)
