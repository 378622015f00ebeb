"""The tail of an SE residual unit in one pass, its kernels, and the plain form beside it (torch alone)."""

from .eager import is_eager, is_recorded, is_watched
from .frozen_norm import frozen_affine, is_frozen, normalized
from .fused_tail import fused_tail
from .tail import residual_tail

__all__ = [
    'frozen_affine',
    'fused_tail',
    'is_eager',
    'is_frozen',
    'is_recorded',
    'is_watched',
    'normalized',
    'residual_tail',
]
