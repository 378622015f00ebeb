"""Small hosts of the families that are known by their blocks, and the widths of their maps by the architectures."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from mmdet.models import Darknet
from mmengine.registry import MODELS
from torch import nn

from se_mm import SETwin
from support.helpers import as_tuple, randomize


class NarrowDarknet(Darknet):
    """Darknet-53 with fewer and narrower units."""

    arch_settings = {53: ((1, 2, 1, 1, 1), ((32, 64), (64, 32), (32, 32), (32, 32), (32, 32)))}


class Family(NamedTuple):
    host: str | type[nn.Module]
    arguments: dict[str, Any]
    #: Channels of the maps where attention is put, and how often, as the papers' tables give them.
    widths: dict[int, int]
    #: Of the pictures; a neck gets maps of so many channels instead.
    channels: tuple[int, ...] = (3,)
    #: What the hidden width of SE is rounded to a multiple of.
    divisor: int = 8


_BRANCHES = {
    f'stage{n}': dict(
        num_modules=1,
        num_branches=n,
        block='BOTTLENECK' if n == 1 else 'BASIC',
        num_blocks=(1,) * n,
        num_channels=(8, 16, 24, 32)[:n],
    )
    for n in (1, 2, 3, 4)
}
_CONVNEXT = dict(
    arch=dict(depths=[1, 1, 2, 1], channels=[8, 16, 24, 32]), out_indices=(0, 3), gap_before_final_norm=False
)
_CSP = dict(deepen_factor=0.17, widen_factor=0.125)
_PYRAMID = dict(in_channels=[8, 16, 24], out_channels=16)

FAMILIES = {
    'CSPDarknet': Family('mmdet.CSPDarknet', _CSP, {16: 1, 32: 1, 64: 1, 128: 1}),
    'CSPNeXt': Family('mmdet.CSPNeXt', dict(channel_attention=False, **_CSP), {16: 1, 32: 1, 64: 1, 128: 1}),
    'Darknet': Family(NarrowDarknet, {}, {64: 1, 32: 5}),
    'HRNet': Family('mmdet.HRNet', dict(extra=_BRANCHES), {32: 2, 8: 3, 16: 3, 24: 2}),
    'HRNet of mmpretrain': Family('mmpretrain.HRNet', dict(extra=_BRANCHES), {32: 2, 8: 3, 16: 3, 24: 2}),
    'Hourglass': Family(
        'mmdet.HourglassNet',
        dict(downsample_times=1, num_stacks=2, stage_channels=(16, 24), stage_blocks=(1, 1), feat_channel=16),
        {16: 6, 24: 4},
    ),
    'SSDVGG': Family(
        'mmdet.SSDVGG',
        dict(depth=11, out_feature_indices=(15, 24)),
        {64: 1, 128: 1, 256: 2, 512: 4, 1024: 2},
        divisor=1,
    ),
    'MobileNetV2': Family('mmdet.MobileNetV2', dict(widen_factor=0.25), {8: 1, 48: 6, 96: 4, 144: 3, 240: 3}),
    'MobileNetV2 of mmpretrain': Family(
        'mmpretrain.MobileNetV2', dict(widen_factor=0.25), {8: 1, 48: 6, 96: 4, 144: 3, 240: 3}
    ),
    'EfficientNet-ES': Family(
        'mmdet.EfficientNet', dict(arch='es', out_indices=(2, 3)), {96: 1, 192: 1, 256: 2, 384: 3}
    ),
    'MobileNetV3': Family('mmpretrain.MobileNetV3', dict(arch='small_050', out_indices=(1, 3)), {40: 1, 56: 1}),
    'EfficientNetV2': Family('mmpretrain.EfficientNetV2', dict(arch='b0', out_indices=(2, 3)), {64: 1, 128: 2, 192: 1}),
    'ConvNeXt': Family('mmpretrain.ConvNeXt', _CONVNEXT, {8: 1, 16: 1, 24: 2, 32: 1}),
    'ConvNeXt-V2, channels first': Family(
        'mmpretrain.ConvNeXt',
        _CONVNEXT | dict(linear_pw_conv=False, use_grn=True, layer_scale_init_value=0.0),
        {8: 1, 16: 1, 24: 2, 32: 1},
    ),
    'DenseNet': Family(
        'mmpretrain.DenseNet', dict(arch=dict(growth_rate=8, depths=[1, 2, 1, 1], init_channels=16)), {8: 5}
    ),
    'ResNet of CIFAR': Family(
        'mmpretrain.ResNet_CIFAR', dict(depth=18, base_channels=8, stem_channels=8), {8: 2, 16: 2, 32: 2, 64: 2}
    ),
    'FPN': Family('mmdet.FPN', dict(num_outs=4, add_extra_convs='on_output', **_PYRAMID), {16: 4}, (8, 16, 24), 1),
    'PAFPN': Family('mmdet.PAFPN', dict(num_outs=3, **_PYRAMID), {16: 3}, (8, 16, 24), 1),
    'ChannelMapper': Family(
        'mmdet.ChannelMapper',
        dict(kernel_size=1, num_outs=4, act_cfg=None, norm_cfg=dict(type='GN', num_groups=4), **_PYRAMID),
        {16: 4},
        (8, 16, 24),
        1,
    ),
    'BFP': Family(
        'mmdet.BFP',
        dict(in_channels=16, num_levels=3, refine_level=1, refine_type='non_local'),
        {16: 1},
        (16,) * 3,
        1,
    ),
    'YOLOXPAFPN': Family(
        'mmdet.YOLOXPAFPN', dict(num_csp_blocks=1, **_PYRAMID), {16: 2, 8: 1, 24: 1}, (8, 16, 24)
    ),
    'CSPNeXtPAFPN': Family(
        'mmdet.CSPNeXtPAFPN', dict(num_csp_blocks=1, **_PYRAMID), {16: 2, 8: 1, 24: 1}, (8, 16, 24)
    ),
}  # fmt: skip


def plain(name: str, **arguments: Any) -> nn.Module:
    """The host of a family as its library builds it, with random weights in float64, in evaluation."""
    family = FAMILIES[name]
    with MODELS.switch_scope_and_registry(None) as registry:
        cls = registry.get(family.host) if isinstance(family.host, str) else family.host
    network = randomize(cls(**family.arguments | arguments).double())
    network.eval()
    return network


def twin(name: str, **arguments: Any) -> nn.Module:
    family = FAMILIES[name]
    return SETwin(family.host, **family.arguments | arguments).double()


def inputs(name: str, size: int = 32) -> Any:
    """A batch of two pictures, or for a neck the maps of a pyramid."""
    generator = torch.Generator().manual_seed(0)
    channels = FAMILIES[name].channels
    maps = [torch.randn(2, c, size >> i, size >> i, generator=generator).double() for i, c in enumerate(channels)]
    return maps[0] if len(maps) == 1 else maps


def outputs(network: nn.Module, x: Any) -> tuple[torch.Tensor, ...]:
    return as_tuple(network(x))
