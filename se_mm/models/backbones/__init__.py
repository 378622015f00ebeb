"""SE backbones: the hosts of mmdet and mmpretrain with squeeze-and-excitation in their residual units."""

from .seresnet import SEResNet
from .seresnext import SEResNeXt
from .twin import SETwin

__all__ = ['SEResNeXt', 'SEResNet', 'SETwin']
