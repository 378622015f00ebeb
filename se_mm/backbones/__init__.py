"""SE backbones: the hosts of mmdet and mmpretrain with squeeze-and-excitation in their residual units."""

from .resnet import SEResNet
from .resnext import SEResNeXt
from .twin import SETwin

__all__ = ['SEResNeXt', 'SEResNet', 'SETwin']
