"""Effective squeeze-and-excitation (Lee and Park, CenterMask, arXiv 1911.06667)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from .base import Attention, zero
from .operators import mean, no_autocast


class ESELayer(Attention):
    """SE with one fully connected layer C -> C in place of two, and a hard sigmoid.

    The layer is a 1x1 convolution called ``fc``, as in timm's ``EffectiveSEModule`` and VoVNet.

    Args:
        in_channels: C, the channels of the map.

    Example:
        >>> ESELayer(64).fc.weight.shape
        torch.Size([64, 64, 1, 1])
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.fc = nn.Conv2d(in_channels, in_channels, 1)

    def gate(self, u: Tensor) -> Tensor:
        z = mean(u)
        with no_autocast(z):
            return functional.hardsigmoid(self.fc(z.to(self.fc.weight.dtype))).to(u.dtype)

    def gate_of_mean(self) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]] | None:
        return (ese_gate, (self.fc.weight, self.fc.bias)) if type(self.fc) is nn.Conv2d else None

    def zero_init_gate(self) -> float:
        zero(self.fc)
        return 0.5


def ese_gate(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``hard_sigmoid(W z + b)``: (N, C, 1, 1) -> (N, C, 1, 1), never in half precision under autocast."""
    with no_autocast(z):
        gate = functional.linear(z.to(weight.dtype).flatten(1), weight.flatten(1), bias)
        return functional.hardsigmoid(gate)[..., None, None]
