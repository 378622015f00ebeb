"""Attention layers and the operators that they are made of (torch alone)."""

from .base import Attention
from .blend import Blend
from .cbam import CBAM
from .context_block import ContextBlock
from .coord_att import CoordAtt
from .eca import ECALayer
from .ese import ESELayer
from .fca import FcaLayer
from .gain import Gain
from .gather_excite import GatherExcite
from .global_context import GlobalContext
from .operators import excitation, squeeze_channels
from .se_layer import SELayer
from .simam import SimAM

#: The layers by the short names of the command line (``--attention eca``).
LAYERS: dict[str, type[Attention]] = {
    'se': SELayer,
    'eca': ECALayer,
    'cbam': CBAM,
    'coord': CoordAtt,
    'gc': GlobalContext,
    'context': ContextBlock,
    'ese': ESELayer,
    'fca': FcaLayer,
    'ge': GatherExcite,
    'simam': SimAM,
}

__all__ = [
    'CBAM',
    'LAYERS',
    'Attention',
    'Blend',
    'ContextBlock',
    'CoordAtt',
    'ECALayer',
    'ESELayer',
    'FcaLayer',
    'Gain',
    'GatherExcite',
    'GlobalContext',
    'SELayer',
    'SimAM',
    'excitation',
    'squeeze_channels',
]
