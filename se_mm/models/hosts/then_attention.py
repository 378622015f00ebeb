"""Attention behind a module: how it gets there, and which parameters compensate its gate."""

from __future__ import annotations

from torch import Tensor, nn

from .made_classes import Made, made_class
from .sites import Site

#: Activations that a factor passes through.
_HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Identity)


class ThenAttention(Made):
    """A module with attention on its output; stands before the module in the bases."""

    se: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.se(super().forward(x))


def attach(site: Site, attention: nn.Module, addition: type[Made] = ThenAttention) -> None:
    """Puts attention into the parent of a site, in place."""
    parent = site.parent
    additions, plain = getattr(parent, 'made_of', ((), type(parent)))
    parent.__class__ = made_class((addition, *additions), plain)
    parent.se = attention


def plain_name(module: nn.Module) -> str:
    """The name of a module's class in its library, with attention or without.

    Example:
        >>> plain_name(nn.ReLU())
        'ReLU'
    """
    return getattr(module, 'made_of', ((), type(module)))[1].__name__


def why_not_scaled(name: str, norm: nn.Module | None, activation: nn.Module | None) -> str:
    """Why a factor on a norm's scale and shift is none on its activation's output; empty where it is.

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
