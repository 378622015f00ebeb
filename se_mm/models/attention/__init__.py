"""Attention layers and the operators that they are made of (torch alone)."""

from .operators import excitation, squeeze_channels
from .se_layer import SELayer

__all__ = ['SELayer', 'excitation', 'squeeze_channels']
