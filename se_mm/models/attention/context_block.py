"""The global context block (Cao et al., GCNet, arXiv 1904.11492), as mmcv has it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ...errors import SeMmError
from .base import Attention, zero
from .global_context import POOLINGS, context_of
from .operators import no_autocast

FUSIONS = ('channel_add', 'channel_mul')


class ContextBlock(Attention):
    """Adds to every position, or multiplies it by, what a bottleneck makes of the global context.

    Arguments, keys and outputs are those of ``mmcv.cnn.ContextBlock``; it sums in float32 under autocast.

    Args:
        in_channels: C, the channels of the map.
        ratio: the hidden width is C * ratio.
        pooling_type: ``'att'``: the context is a learnt weighted mean. ``'avg'``: the plain one.
        fusion_types: one or both of ``'channel_add'`` and ``'channel_mul'``; the product first.

    Raises:
        SeMmError: for another ``pooling_type`` or ``fusion_types``.

    Example:
        >>> import torch
        >>> block, u = ContextBlock(32), torch.randn(1, 32, 5, 5)
        >>> torch.equal(block(u), u)  # the last layer starts at zero
        True
    """

    def __init__(
        self,
        in_channels: int,
        ratio: float = 1 / 16,
        pooling_type: str = 'att',
        fusion_types: Sequence[str] = ('channel_add',),
    ) -> None:
        super().__init__(in_channels)
        if pooling_type not in POOLINGS:
            raise SeMmError(f'ContextBlock: pooling_type must be one of {POOLINGS}, got {pooling_type!r}')
        if isinstance(fusion_types, str) or not fusion_types or set(fusion_types) - set(FUSIONS):
            raise SeMmError(f'ContextBlock: fusion_types must list one or both of {FUSIONS}, got {fusion_types!r}')
        if isinstance(ratio, bool) or not isinstance(ratio, (int, float)):
            raise SeMmError(f'ContextBlock: ratio must be a number, got {ratio!r}')
        hidden = int(in_channels * ratio)
        if hidden < 1:
            raise SeMmError(f'ContextBlock: ratio {ratio} leaves no channel of {in_channels}')
        self.conv_mask = nn.Conv2d(in_channels, 1, 1) if pooling_type == 'att' else None
        self.channel_add_conv = _bottleneck(in_channels, hidden) if 'channel_add' in fusion_types else None
        self.channel_mul_conv = _bottleneck(in_channels, hidden) if 'channel_mul' in fusion_types else None
        if self.conv_mask is not None:
            nn.init.kaiming_normal_(self.conv_mask.weight, nonlinearity='relu')
            nn.init.zeros_(self.conv_mask.bias)
        self.zero_init_gate()

    def forward(self, u: Tensor) -> Tensor:
        context, out = context_of(u, self.conv_mask), u
        with no_autocast(u):
            if self.channel_mul_conv is not None:
                out = out * _applied(self.channel_mul_conv, context).sigmoid().to(u.dtype)
            if self.channel_add_conv is not None:
                out = out + _applied(self.channel_add_conv, context).to(u.dtype)
        return out

    def zero_init_gate(self) -> float:
        for bottleneck in filter(None, (self.channel_add_conv, self.channel_mul_conv)):
            zero(bottleneck[-1])
        return 1.0 if self.channel_mul_conv is None else 0.5


def _bottleneck(channels: int, hidden: int) -> nn.Sequential:
    layers = nn.Conv2d(channels, hidden, 1), nn.LayerNorm([hidden, 1, 1]), nn.ReLU(inplace=True)
    return nn.Sequential(*layers, nn.Conv2d(hidden, channels, 1))


def _applied(bottleneck: nn.Sequential, context: Tensor) -> Tensor:
    return bottleneck(context.to(bottleneck[0].weight.dtype))
