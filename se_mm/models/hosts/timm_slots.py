"""Sites in timm's networks whose blocks have a place for attention, ``se``: EfficientNet, MobileNetV2, V3, RegNet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import nn

from ...weights.host_families import EFFICIENTNETS, REGNETS
from ..attention.base import Attention
from ..composed import plain_class
from .sites import HostAdapter, Site, reader

#: The convolution behind the place, by the class of the block.
READERS = {
    'DepthwiseSeparableConv': 'conv_pw',
    'InvertedResidual': 'conv_pwl',
    'EdgeResidual': 'conv_pwl',
    'UniversalInvertedResidual': 'pw_proj.conv',
    'Bottleneck': 'conv3.conv',
}


class TimmSlotsAdapter(HostAdapter):
    """Where timm has its own ``se``: on the wide map of a block, before the 1x1 convolution that ends it.

    A constant gate is compensated by that convolution, whatever the activation. The stages are timm's feature maps.
    """

    classes = (
        'se_mm.models.backbones.timm_hosts.TimmEfficientNet',
        'se_mm.models.backbones.timm_hosts.TimmMobileNetV3',
    )
    families = EFFICIENTNETS

    def num_stages(self, host: nn.Module) -> int:
        return 5

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        numbers: Counter[int] = Counter()
        for layer_name, layer, stage in host.layers():
            for name, block in layer.named_modules(prefix=layer_name):
                conv = READERS.get(plain_class(block).__name__)
                if conv is None or not hasattr(block, 'se'):
                    continue
                channels = block.get_submodule(conv).in_channels
                native = '' if isinstance(block.se, nn.Identity | Attention) else 'se'
                yield Site(name, block, stage, numbers[stage], channels, reader(f'{name}.{conv}'), native=native)
                numbers[stage] += 1


class TimmRegNetAdapter(TimmSlotsAdapter):
    """timm's RegNet, in the same places."""

    classes = ('se_mm.models.backbones.timm_hosts.TimmRegNet',)
    families = REGNETS
