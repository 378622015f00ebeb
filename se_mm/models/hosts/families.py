"""The families of hosts that attention can be put into, one adapter each."""

from __future__ import annotations

from .cifar import PreActAdapter, ShakeAdapter
from .conv_modules import ShuffleNetV1Adapter, VGGAdapter
from .inception import BNInceptionAdapter, InceptionResNetV2Adapter, InceptionV3Adapter
from .mobilenet import MobileNetV1Adapter
from .residual import ResidualAdapter
from .sites import HostAdapter

#: Asked in this order.
ADAPTERS: tuple[HostAdapter, ...] = (
    ResidualAdapter(),
    PreActAdapter(),
    ShakeAdapter(),
    VGGAdapter(),
    BNInceptionAdapter(),
    InceptionV3Adapter(),
    InceptionResNetV2Adapter(),
    MobileNetV1Adapter(),
    ShuffleNetV1Adapter(),
)
