"""Attention behind a module: how it gets there, and which parameters compensate its gate."""

from __future__ import annotations

from torch import Tensor, nn

from .made_classes import Made, put_before
from .sites import HostAdapter, Site

#: Activations that a factor passes through.
_HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Identity)


class ThenAttention(Made):
    """A module with attention on its output; stands before the module in the bases."""

    se: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.se(super().forward(x))


class ThenAttentionAdapter(HostAdapter):
    """A host whose attention stands behind modules, of hidden width C // r."""

    se_divisor = 1
    #: What the class of such a module gets.
    addition: type[Made] = ThenAttention

    def insert(self, site: Site, attention: nn.Module, position: str = 'standard') -> None:
        put_before(site.parent, self.addition)
        site.parent.se = attention


def why_not_scaled(name: str, norm: nn.Module | None, activation: nn.Module | None) -> str:
    """Why scaling a norm does not scale its activation's output; empty if it does.

    Args:
        name: of the norm in the host.
        norm: ``None``: a convolution with the activation, without a norm.
        activation: behind it; ``None``: none.

    Example:
        >>> why_not_scaled('bn1', nn.BatchNorm2d(8), nn.ReLU())
        ''
        >>> why_not_scaled('bn1', nn.BatchNorm2d(8), nn.ReLU6())
        'twice the input of ReLU6 is not twice its output'
    """
    if norm is not None and getattr(norm, 'weight', None) is None:
        return f'{name} has no scale and shift that could be doubled; use a norm with affine=True'
    if activation is not None and not isinstance(activation, _HOMOGENEOUS):
        return f'twice the input of {type(activation).__name__} is not twice its output'
    return ''
