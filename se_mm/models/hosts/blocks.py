"""Hosts that are known by their blocks: a table says where attention stands in a block of a class."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from ...compat.compiled import original_name
from ...weights.families import Family
from ...weights.host_families import own_naming
from ..composed import Addition, put_before
from .behind_modules import ThenAttention
from .conv_modules import behind
from .sites import HostAdapter, Site, full_name, maker, reader

_MMDET, _MMPRETRAIN = 'mmdet.models', 'mmpretrain.models'


class Slot(Addition):
    """A block that calls its ``se`` where it ``with_se``, as InvertedResidual and EdgeResidual do."""

    with_se = property(lambda block: True)


class CSPSlot(Slot):
    """A CSPLayer, which calls its ``attention`` where it has ``channel_attention``."""

    channel_attention = property(lambda layer: True)
    attention = property(lambda layer: layer.se)


class LinearThenAttention(ThenAttention):
    """A linear layer of channels-last maps (N, H, W, C), with attention on its output."""

    def forward(self, x: Tensor) -> Tensor:
        return self.se(super(ThenAttention, self).forward(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def _csp_layer(name: str, layer: nn.Module, *place: int) -> Site:
    return _in_slot(name, layer, 'attention', 'final_conv.conv', *place)


def _inverted_residual(name: str, unit: nn.Module, *place: int) -> Site:
    return _in_slot(name, unit, 'se', 'linear_conv.conv' if hasattr(unit, 'linear_conv') else 'conv2.conv', *place)


def _in_slot(name: str, block: nn.Module, slot: str, following: str, *place: int) -> Site:
    """Attention in a block's slot, compensated by the convolution that reads the map."""
    layer = None if isinstance(block, Slot) else getattr(block, slot, None)
    native = '' if isinstance(layer, (nn.Identity, type(None))) else slot
    conv = block.get_submodule(following)
    return Site(name, block, *place, conv.in_channels, *reader_of(f'{name}.{following}', conv), native=native)


def _mobilenet_v2(name: str, unit: nn.Module, *place: int) -> Site:
    """mmpretrain's InvertedResidual of MobileNetV2: behind its depthwise ConvModule."""
    at = len(unit.conv) - 2
    conv = unit.conv[-1].conv
    parts = reader_of(f'{name}.conv.{at + 1}.conv', conv)
    return Site(f'{name}.conv.{at}', unit.conv[at], *place, conv.in_channels, *parts)


def _darknet(name: str, unit: nn.Module, *place: int) -> Site:
    return behind(f'{name}.conv2', unit.conv2, *place)


def _convnext(name: str, block: nn.Module, *place: int) -> Site:
    last = block.pointwise_conv2
    return Site(f'{name}.pointwise_conv2', last, *place, len(last.weight), *maker(f'{name}.pointwise_conv2', last))


def _dense(name: str, layer: nn.Module, *place: int) -> Site:
    return Site(f'{name}.conv2', layer.conv2, *place, len(layer.conv2.weight), *maker(f'{name}.conv2', layer.conv2))


def reader_of(name: str, conv: nn.Module) -> tuple[tuple, str]:
    """The compensation by a convolution that reads the map, and the obstacle where twice its weight is not twice it."""
    if type(conv) is nn.Conv2d or type(conv).__name__ == 'Conv2dAdaptivePadding':
        return reader(name), ''
    return (), f'twice the weight of a {type(conv).__name__} may not be twice its output'


@dataclass(frozen=True)
class Kind:
    """How attention stands in a block: its site, from name, module, stage and block, and what its parent becomes."""

    site: Callable[..., Site]
    addition: type[Addition] = ThenAttention


KINDS = {
    f'{_MMDET}.layers.csp_layer.CSPLayer': Kind(_csp_layer, CSPSlot),
    f'{_MMDET}.layers.inverted_residual.InvertedResidual': Kind(_inverted_residual, Slot),
    f'{_MMDET}.backbones.efficientnet.EdgeResidual': Kind(_inverted_residual, Slot),
    f'{_MMDET}.backbones.darknet.ResBlock': Kind(_darknet),
    f'{_MMPRETRAIN}.utils.inverted_residual.InvertedResidual': Kind(_inverted_residual, Slot),
    f'{_MMPRETRAIN}.backbones.efficientnet.EdgeResidual': Kind(_inverted_residual, Slot),
    f'{_MMPRETRAIN}.backbones.mobilenet_v2.InvertedResidual': Kind(_mobilenet_v2),
    f'{_MMPRETRAIN}.backbones.convnext.ConvNeXtBlock': Kind(_convnext),
    f'{_MMPRETRAIN}.backbones.densenet.DenseLayer': Kind(_dense),
}


def kind_of(block: nn.Module, kinds: Collection[str] = KINDS) -> str | None:
    """The name in a table of the class of a block, or of one that it inherits."""
    return next((name for name in map(full_name, type(block).__mro__) if name in kinds), None)


def blocks_in(host: nn.Module, kinds: Collection[str] = KINDS) -> Iterator[tuple[int, int, str, nn.Module]]:
    """The blocks of some classes in a network: stage, block, name and module of each.

    A stage is what stands under one number, ``stage1`` or ``layers.3``; they are counted from 0, in their order.
    """
    stages: dict[str, int] = {}
    for name, module in host.named_modules():
        if kind_of(module, kinds):
            name = original_name(name)
            key = re.match(r'\D*\d*', name)[0]
            number = stages[key] = stages.get(key, -1) + 1
            yield list(stages).index(key), number, name, module


def naming_of(host: nn.Module, kinds: Collection[str] = KINDS) -> tuple[Family, ...]:
    """The family of a host whose published weights have its own names; known by the first tensor of its blocks."""
    first = next((name for *_, name, _ in blocks_in(host, kinds)), '')
    landmark = next((key for key, _ in host.named_parameters() if key.startswith(first)), '')
    return own_naming(type(host).__name__.removeprefix('SE'), landmark)


class BlocksAdapter(HostAdapter):
    """YOLOX's and RTMDet's backbones and necks, Darknet-53, MobileNets, EfficientNets, ConvNeXt and DenseNet.

    Attention stands where their authors, or those of the same block elsewhere, put it: on the concatenation of a
    CSPLayer, behind the depthwise convolution of an inverted residual, at the end of a residual branch.
    """

    classes = (
        f'{_MMDET}.backbones.csp_darknet.CSPDarknet',
        f'{_MMDET}.backbones.cspnext.CSPNeXt',
        f'{_MMDET}.backbones.darknet.Darknet',
        f'{_MMDET}.backbones.efficientnet.EfficientNet',
        f'{_MMDET}.backbones.mobilenet_v2.MobileNetV2',
        f'{_MMDET}.necks.cspnext_pafpn.CSPNeXtPAFPN',
        f'{_MMDET}.necks.yolox_pafpn.YOLOXPAFPN',
        f'{_MMPRETRAIN}.backbones.convnext.ConvNeXt',
        f'{_MMPRETRAIN}.backbones.densenet.DenseNet',
        f'{_MMPRETRAIN}.backbones.efficientnet.EfficientNet',
        f'{_MMPRETRAIN}.backbones.efficientnet_v2.EfficientNetV2',
        f'{_MMPRETRAIN}.backbones.mobilenet_v2.MobileNetV2',
        f'{_MMPRETRAIN}.backbones.mobilenet_v3.MobileNetV3',
    )
    exact = True

    def naming(self, host: nn.Module) -> tuple[Family, ...]:
        return naming_of(host)

    def num_stages(self, host: nn.Module) -> int:
        return 1 + max((stage for stage, *_ in blocks_in(host)), default=-1)

    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        for stage, block, name, module in blocks_in(host):
            yield KINDS[kind_of(module)].site(name, module, stage, block)

    def prepare(self, site: Site, position: str) -> None:
        kind = KINDS.get(kind_of(site.parent) or '')
        linear = isinstance(site.parent, nn.Linear)
        put_before(site.parent, kind.addition if kind else LinearThenAttention if linear else ThenAttention)
