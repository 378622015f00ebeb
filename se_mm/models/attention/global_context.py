"""Global context as a gate (Cao et al., GCNet, arXiv 1904.11492; the form that timm's gcresnets have)."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from ...errors import SeMmError
from .base import Attention, zero
from .operators import accumulated_in, check_positive, mean, no_autocast

POOLINGS = ('att', 'avg')


class GlobalContext(Attention):
    """SE whose squeeze is a learnt weighted mean, with a layer norm between its two layers.

    The weights of the mean are the softmax over all positions of a 1x1 convolution C -> 1. The keys are those
    of timm's ``GlobalContext``. :class:`se_mm.models.attention.ContextBlock` adds the context to the map instead.

    Args:
        in_channels: C, the channels of the map.
        reduction: the hidden width is C / reduction, rounded.
        pooling: ``'att'``: the learnt mean. ``'avg'``: the plain one, without ``conv_attn``.

    Raises:
        SeMmError: for another ``pooling``, or a ``reduction`` that is no positive integer.

    Example:
        >>> sum(p.numel() for p in GlobalContext(256).parameters())
        16993
    """

    def __init__(self, in_channels: int, reduction: int = 8, pooling: str = 'att') -> None:
        super().__init__(in_channels)
        if pooling not in POOLINGS:
            raise SeMmError(f'GlobalContext: pooling must be one of {POOLINGS}, got {pooling!r}')
        check_positive(reduction=reduction)
        hidden = max(1, int(in_channels / reduction + 0.5))
        self.conv_attn = nn.Conv2d(in_channels, 1, 1) if pooling == 'att' else None
        fc1, fc2 = nn.Conv2d(in_channels, hidden, 1), nn.Conv2d(hidden, in_channels, 1)
        norm = ChannelNorm(hidden, eps=1e-6)
        self.mlp_scale = nn.Sequential(OrderedDict(fc1=fc1, norm=norm, act=nn.ReLU(inplace=True), fc2=fc2))

    def gate(self, u: Tensor) -> Tensor:
        context = context_of(u, self.conv_attn)
        with no_autocast(u):
            return self.mlp_scale(context.to(self.mlp_scale.fc1.weight.dtype)).sigmoid().to(u.dtype)

    def zero_init_gate(self) -> float:
        zero(self.mlp_scale.fc2)
        return 0.5


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a map (N, C, H, W)."""

    def forward(self, u: Tensor) -> Tensor:
        return super().forward(u.movedim(1, -1)).movedim(-1, 1)


def context_of(u: Tensor, conv_attn: nn.Conv2d | None) -> Tensor:
    """The mean of a map, weighted by the softmax of ``conv_attn`` (C -> 1) over its positions; else the plain one.

    (N, C, H, W) -> (N, C, 1, 1), in float32 for half-precision maps.
    """
    if conv_attn is None:
        return mean(u)
    weights = conv_attn(u).flatten(1).softmax(1, dtype=accumulated_in(u))
    with no_autocast(u):
        return torch.einsum('ncp,np->nc', u.flatten(2).to(weights.dtype), weights)[..., None, None]
