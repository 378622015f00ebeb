"""Sites behind mmcv's ConvModule: VGG and ShuffleNet (v1) of mmpretrain, necks; and mmdet's SSDVGG."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ...weights.families import Family
from ...weights.host_families import SHUFFLENETS, VGGS, own_naming
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
                yield behind(f'features.{start + block}', host.features[start + block], stage, block)


class ShuffleNetV1Adapter(BehindModulesAdapter):
    """mmpretrain's ShuffleNetV1: behind the norm at the end of each branch, before the addition or concatenation."""

    classes = ('mmpretrain.models.backbones.shufflenet_v1.ShuffleNetV1',)
    families = SHUFFLENETS

    def num_stages(self, host: nn.Module) -> int:
        return len(host.layers)

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        for stage, layer in enumerate(host.layers):
            for block, unit in enumerate(layer):
                yield behind(f'layers.{stage}.{block}.g_conv_1x1_expand', unit.g_conv_1x1_expand, stage, block)


class SSDVGGAdapter(BehindModulesAdapter):
    """mmdet's VGG for SSD, without norms: behind each activation, as in VGG; the stages end at the poolings."""

    classes = ('mmdet.models.backbones.ssd_vgg.SSDVGG',)

    def naming(self, host: nn.Module) -> tuple[Family, ...]:
        last = [str(i) for i, layer in enumerate(host.features) if isinstance(layer, nn.Conv2d)][-2:]
        return own_naming('VGG of SSD', 'features.0.weight', head=rf'features\.(?:{"|".join(last)})\.')

    def num_stages(self, host: nn.Module) -> int:
        return 1 + max(site.stage for site in self.sites(host))

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        stage, block = 0, 0
        for i, layer in enumerate(host.features):
            if isinstance(layer, nn.MaxPool2d):
                stage, block = stage + 1, 0
            elif isinstance(layer, nn.ReLU):
                conv = host.features[i - 1]
                parts = maker(f'features.{i - 1}', conv, layer)
                yield Site(f'features.{i}', layer, stage, block, conv.out_channels, *parts)
                block += 1


class NeckAdapter(BehindModulesAdapter):
    """Necks like FPN: behind the convolution that makes each output; behind the refinement of BFP. A stage a level."""

    classes = tuple(
        f'mmdet.models.necks.{name}'
        for name in ('fpn.FPN', 'fpn_carafe.FPN_CARAFE', 'hrfpn.HRFPN', 'channel_mapper.ChannelMapper', 'bfp.BFP')
    )
    exact = True

    def naming(self, host: nn.Module) -> tuple[Family, ...]:
        return own_naming(type(host).__name__, next((name for name, _ in host.named_parameters()), ''))

    def num_stages(self, host: nn.Module) -> int:
        return len(list(self.sites(host)))

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        fpn, pafpn = list(getattr(host, 'fpn_convs', ())), list(getattr(host, 'pafpn_convs', ()))
        made = {id(conv): f'fpn_convs.{i}' for i, conv in enumerate(fpn)}
        made |= {id(conv): f'pafpn_convs.{i}' for i, conv in enumerate(pafpn)}
        outputs = [*fpn[:1], *pafpn, *fpn[1 + len(pafpn) :]]  # the others of a PAFPN are read by pafpn_convs
        named = [(made[id(conv)], conv) for conv in outputs]
        for name in ('convs', 'extra_convs'):
            named += [(f'{name}.{i}', conv) for i, conv in enumerate(getattr(host, name, None) or ())]
        if isinstance(getattr(host, 'refine', None), nn.Module):
            named.append(('refine', host.refine))
        for level, (name, module) in enumerate(named):
            if hasattr(module, 'with_norm'):
                yield behind(name, module, level, 0)
            else:  # the non-local block, which adds to its input
                yield Site(name, module, level, 0, host.in_channels, (), 'what is added to the input has no scale')


def behind(name: str, module: nn.Module, stage: int, block: int) -> Site:
    """The site behind a ConvModule."""
    last, layer = (module.norm_name, module.norm) if module.with_norm else ('conv', module.conv)
    activation = module.activate if module.with_activation else None
    return Site(name, module, stage, block, module.out_channels, *maker(f'{name}.{last}', layer, activation))
