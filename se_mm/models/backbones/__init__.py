"""SE backbones: the hosts of mmdet and mmpretrain with squeeze-and-excitation, and hosts that neither has."""

from .bninception import BNInception
from .preact_resnet import PreActResNetCIFAR, WideResNetCIFAR
from .senet import SENet
from .seresnet import SEResNet
from .seresnext import SEResNeXt
from .shake_resnet import ShakeResNetCIFAR, ShakeResNeXtCIFAR
from .timm_hosts import (
    TimmEfficientNet,
    TimmInceptionResNetV2,
    TimmInceptionV3,
    TimmMobileNetV1,
    TimmMobileNetV3,
    TimmRegNet,
)
from .twin import SETwin

__all__ = [
    'BNInception',
    'PreActResNetCIFAR',
    'SENet',
    'SEResNeXt',
    'SEResNet',
    'SETwin',
    'ShakeResNeXtCIFAR',
    'ShakeResNetCIFAR',
    'TimmEfficientNet',
    'TimmInceptionResNetV2',
    'TimmInceptionV3',
    'TimmMobileNetV1',
    'TimmMobileNetV3',
    'TimmRegNet',
    'WideResNetCIFAR',
]
