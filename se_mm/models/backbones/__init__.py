"""SE backbones: the hosts of mmdet and mmpretrain with squeeze-and-excitation, and hosts that neither has."""

from .preact_resnet import PreActResNetCIFAR, WideResNetCIFAR
from .seresnet import SEResNet
from .seresnext import SEResNeXt
from .shake_resnet import ShakeResNetCIFAR, ShakeResNeXtCIFAR
from .twin import SETwin

__all__ = [
    'PreActResNetCIFAR',
    'SEResNeXt',
    'SEResNet',
    'SETwin',
    'ShakeResNeXtCIFAR',
    'ShakeResNetCIFAR',
    'WideResNetCIFAR',
]
