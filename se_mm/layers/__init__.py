"""The squeeze-and-excitation block and the residual tail that it belongs to (torch alone)."""

from .eager import is_eager, is_recorded
from .frozen_norm import frozen_affine, has_hooks, is_frozen, normalized
from .fused_tail import fused_tail
from .se_layer import SELayer, excitation, squeeze_channels
from .tail import residual_tail

__all__ = [
    'SELayer',
    'excitation',
    'frozen_affine',
    'fused_tail',
    'has_hooks',
    'is_eager',
    'is_frozen',
    'is_recorded',
    'normalized',
    'residual_tail',
    'squeeze_channels',
]
