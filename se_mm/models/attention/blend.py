"""A start at the plain network for layers that have none of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import Attention, variant_of


class Blend(Attention):
    r"""``u + alpha * (layer(u) - u)`` with a learnt scalar alpha.

    At alpha = 0 it is the identity; alpha leaves zero with the first step, and the layer learns from then on.

    Args:
        layer: the layer that is blended in.
        in_channels: C; may be left out where the layer knows it.

    Example:
        >>> from se_mm.models.attention.simam import SimAM
        >>> blend, u = Blend(SimAM(4)), torch.randn(1, 4, 3, 3)
        >>> torch.equal(blend(u), u)
        True
    """

    def __init__(self, layer: nn.Module, in_channels: int | None = None) -> None:
        super().__init__(layer.in_channels if in_channels is None else in_channels)
        self.layer = layer
        self.alpha = nn.Parameter(torch.zeros(1))  # FSDP refuses one without a dimension

    def gate(self, u: Tensor) -> Tensor:
        """``1 + alpha * (s - 1)`` for the gate s of the layer."""
        return 1 + self.alpha.to(u.dtype) * (self.layer.gate(u) - 1)

    def forward(self, u: Tensor) -> Tensor:
        return u + self.alpha.to(u.dtype) * (self.layer(u) - u)

    def variant(self) -> str:
        return variant_of(self.layer)  # its own parameter tells that it is blended in

    def zero_init_gate(self) -> float:
        nn.init.zeros_(self.alpha)
        return 1.0
