"""The forms of an SE residual unit: its tail in one pass, its kernels, and the plain form beside it (torch alone)."""

from ...compat.torch_internals import is_watched
from .batch_norm_tail import batch_norm_tail, takes_batch_statistics
from .eager import is_eager
from .folding import fold_norms, folded_affine, folded_conv, folded_downsample, folds_downsample
from .frozen_norm import frozen_affine, normalized
from .fused_tail import fused_tail
from .tail import residual_tail
from .unit_forms import GATED_FORMS, PLAIN_FORMS, Form
from .weight_space import weight_space_tail

__all__ = [
    'GATED_FORMS',
    'PLAIN_FORMS',
    'Form',
    'batch_norm_tail',
    'fold_norms',
    'folded_affine',
    'folded_conv',
    'folded_downsample',
    'folds_downsample',
    'frozen_affine',
    'fused_tail',
    'is_eager',
    'is_watched',
    'normalized',
    'residual_tail',
    'takes_batch_statistics',
    'weight_space_tail',
]
