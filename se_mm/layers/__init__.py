"""The squeeze-and-excitation block and the residual tail that it belongs to (torch alone)."""

from .se_layer import SELayer, squeeze_channels
from .tail import residual_tail

__all__ = ['SELayer', 'residual_tail', 'squeeze_channels']
