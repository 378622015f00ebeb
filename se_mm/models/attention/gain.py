"""A start at the plain network behind any activation: the gate times a gain (Brock et al., arXiv 2102.06171)."""

from __future__ import annotations

from torch import Tensor, nn

from .base import Attention, variant_of


class Gain(Attention):
    """``layer(u)`` divided by the constant that the gate of the layer starts from: 2 for one sigmoid, as in NFNets.

    With the zero-initialised last layer it starts as the exact identity, and nothing of the host has to change.

    Args:
        layer: with a constant gate (:meth:`Attention.zero_init_gate`), which it gets.
        in_channels: C; may be left out where the layer knows it.

    Raises:
        SeMmError: if the layer has no weights at which its gate is constant.

    Example:
        >>> import torch
        >>> from se_mm.models.attention.se_layer import SELayer
        >>> layer, u = Gain(SELayer(16)), torch.randn(1, 16, 3, 3)
        >>> layer.gain, torch.equal(layer(u), u)
        (2.0, True)
    """

    def __init__(self, layer: nn.Module, in_channels: int | None = None) -> None:
        super().__init__(layer.in_channels if in_channels is None else in_channels)
        self.layer = layer
        self.gain = 1 / layer.zero_init_gate()

    def gate(self, u: Tensor) -> Tensor:
        return self.gain * self.layer.gate(u)

    def forward(self, u: Tensor) -> Tensor:
        return self.gain * self.layer(u)

    def variant(self) -> str:
        return variant_of(self.layer)  # its keys tell that it has a gain

    def zero_init_gate(self) -> float:
        self.layer.zero_init_gate()
        return 1.0
