"""The tail of an SE residual unit in one pass, its kernels, and the plain form beside it (torch alone)."""

from .batch_norm_tail import batch_norm_tail, takes_batch_statistics
from .eager import is_eager, is_fake, is_recorded, is_watched
from .folded_conv import folded_affine, folded_conv, folded_downsample, folds_downsample, is_plain_conv
from .frozen_norm import frozen_affine, is_frozen, normalized
from .fused_tail import fused_tail
from .tail import residual_tail
from .weight_space import pays_in_weight_space, weight_space_tail

__all__ = [
    'batch_norm_tail',
    'folded_affine',
    'folded_conv',
    'folded_downsample',
    'folds_downsample',
    'frozen_affine',
    'fused_tail',
    'is_eager',
    'is_fake',
    'is_frozen',
    'is_plain_conv',
    'is_recorded',
    'is_watched',
    'normalized',
    'pays_in_weight_space',
    'residual_tail',
    'takes_batch_statistics',
    'weight_space_tail',
]
