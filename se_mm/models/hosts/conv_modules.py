"""Sites behind mmcv's ConvModule: VGG and ShuffleNet (v1) of mmpretrain."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ...weights.host_families import SHUFFLENETS, VGGS
from .behind_modules import BehindModulesAdapter
from .sites import Site, maker


class VGGAdapter(BehindModulesAdapter):
    """mmpretrain's VGG, with norms and without: behind the activation of every convolution (section 3.3)."""

    classes = ('mmpretrain.models.backbones.vgg.VGG',)
    families = VGGS

    def num_stages(self, host: nn.Module) -> int:
        return len(host.stage_blocks)

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        for stage, (start, _) in enumerate(host.range_sub_modules):
            for block in range(host.stage_blocks[stage]):
                yield _behind(f'features.{start + block}', host.features[start + block], stage, block)


class ShuffleNetV1Adapter(BehindModulesAdapter):
    """mmpretrain's ShuffleNetV1: behind the norm at the end of each branch, before the addition or concatenation."""

    classes = ('mmpretrain.models.backbones.shufflenet_v1.ShuffleNetV1',)
    families = SHUFFLENETS

    def num_stages(self, host: nn.Module) -> int:
        return len(host.layers)

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        for stage, layer in enumerate(host.layers):
            for block, unit in enumerate(layer):
                yield _behind(f'layers.{stage}.{block}.g_conv_1x1_expand', unit.g_conv_1x1_expand, stage, block)


def _behind(name: str, module: nn.Module, stage: int, block: int) -> Site:
    last, layer = (module.norm_name, module.norm) if module.with_norm else ('conv', module.conv)
    activation = module.activate if module.with_activation else None
    return Site(name, module, stage, block, module.out_channels, *maker(f'{name}.{last}', layer, activation))
