"""SE backbones: mmdet's hosts with squeeze-and-excitation in their residual units."""

from .resnet import SEResNet
from .resnext import SEResNeXt

__all__ = ['SEResNeXt', 'SEResNet']
