"""Every twin builds, has the parameters that it should, and gives maps of the same shapes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmcv.cnn import ContextBlock
from mmengine.config import Config
from mmengine.registry import MODELS
from timm.layers import EcaModule, EffectiveSEModule, SEModule
from timm.layers.cbam import CbamModule
from timm.layers.coord_attn import CoordAttn
from timm.layers.global_context import GlobalContext
from torch import nn

from se_mm.config.tree import value_at
from se_mm.models.hosts.attention_names import attention_named
from se_mm.swap import plan_swap, write_twin
from se_mm.swap.building import shapes_only
from se_mm.swap.changes import apply
from se_mm.swap.hosts import Host, scope_of

from .configs import Shipped

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm)
#: Other people's layers, for the parameters of ours.
THEIRS: dict[str, Callable[[int], nn.Module]] = {
    'se': lambda c: SEModule(c, rd_ratio=1 / 16, rd_divisor=8),
    'eca': EcaModule,
    'cbam': lambda c: CbamModule(c, rd_channels=max(1, c // 16), mlp_bias=True),
    'coord': lambda c: CoordAttn(c, rd_channels=max(8, c // 32), bias=True),
    'gc': GlobalContext,
    'context': lambda c: ContextBlock(c, ratio=1 / 16),
    'ese': EffectiveSEModule,
    'fca': lambda c: SEModule(c, rd_channels=max(1, c // 16), bias=False),
    'ge': lambda c: nn.Identity(),
    'simam': lambda c: nn.Identity(),
}

#: The same for hosts whose gates are C // r wide.
C_OVER_R = {**THEIRS, 'se': lambda c: SEModule(c, rd_channels=max(1, c // 16))}
#: The widths of the gates in hosts that are no residual networks.
OTHERS: dict[str, Callable[[nn.Module], list[int]]] = {
    'VGG': lambda vgg: [module.conv.out_channels for module in vgg.features if hasattr(module, 'conv')],
    'InceptionV3': lambda _: [256, 288, 288, *[768] * 5, 1280, 2048, 2048],
    'ShuffleNetV1': lambda net: [u.g_conv_1x1_expand.conv.out_channels for stage in net.layers for u in stage],
    'SSDVGG': lambda vgg: [layer.out_channels for layer in vgg.features if isinstance(layer, nn.Conv2d)],
}
#: The same where they are rounded to a multiple of 8: by the class of the blocks, what reads the map, or makes it.
BLOCKS: dict[str, Callable[[nn.Module], int | None]] = {
    'CSPLayer': lambda layer: None if layer.channel_attention else layer.final_conv.conv.in_channels,
    'ResBlock': lambda unit: unit.conv2.conv.out_channels,
    'InvertedResidual': lambda unit: None if getattr(unit, 'with_se', False) else _last_conv(unit).in_channels,
    'EdgeResidual': lambda unit: None if unit.with_se else unit.conv2.conv.in_channels,
    'ConvNeXtBlock': lambda block: block.depthwise_conv.out_channels,
    'DenseLayer': lambda layer: layer.conv2.out_channels,
    'BasicBlock': lambda unit: width_of(unit),
    'Bottleneck': lambda unit: width_of(unit),
}


def _last_conv(unit: nn.Module) -> nn.Conv2d:
    return [module for module in unit.modules() if isinstance(module, nn.Conv2d)][-1]


def check(config: Shipped, cfg: Config, hosts: list[Host], folder: Path, attention: str = 'se') -> None:
    """Raises an AssertionError, or whatever goes wrong, if one of the promises is not kept."""
    swap = plan_swap(cfg, attention=None if attention == 'se' else attention_named(attention))
    twin = apply(swap, cfg)
    scope = scope_of(cfg)
    for host in hosts:
        plain = build(host.config, scope)
        before = list(plain.state_dict())
        se = build(value_at(twin, host.keys), scope)
        added = count(se) - count(plain)
        blended = (value_at(twin, host.keys).get('attention') or {}).get('start') == 'blend'
        wanted = expected(plain, attention, blended)
        assert added == wanted, f'{host.name}: {added} parameters were added, not {wanted}'
        assert shapes(se) == shapes(plain), f'{host.name}: {shapes(se)}, not {shapes(plain)}'
        again = build(host.config, scope)
        assert type(again) is host.cls, f'{host.name}: the original builds as {type(again)} afterwards'
        assert list(again.state_dict()) == before, f'{host.name}: the original has other tensors afterwards'
    write_twin(swap, cfg, config.base, folder / 'twin.py')  # raises if it does not read back as it is


def build(config: Any, scope: str | None) -> nn.Module:
    with MODELS.switch_scope_and_registry(scope) as registry, shapes_only():
        network = registry.build(copy.deepcopy(config))
    network.to('meta')  # SAC makes a tensor in a way that asks for no device
    network.eval()  # returns None, in mmdet's hosts
    return network


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def expected(plain: nn.Module, attention: str, blended: bool) -> int:
    """The parameters of somebody else's layer of each width that the paper has a gate for."""
    other = next((cls.__name__ for cls in type(plain).__mro__ if cls.__name__ in OTHERS), None)
    if other:
        return sum(parameters_of(attention, width, C_OVER_R) + blended for width in OTHERS[other](plain))
    if hasattr(plain, 'res_layers'):
        widths = [width_of(unit) for stage in plain.res_layers for unit in getattr(plain, stage)]
    else:
        widths = [BLOCKS[type(m).__name__](m) for m in plain.modules() if type(m).__name__ in BLOCKS]
    return sum(parameters_of(attention, width) + blended for width in widths if width is not None)


def parameters_of(attention: str, width: int, theirs: dict[str, Callable[[int], nn.Module]] = THEIRS) -> int:
    with torch.device('meta'):
        return count(theirs[attention](width))


def width_of(unit: nn.Module) -> int:
    """The channels of the last norm of a unit's branch."""
    return [module for module in unit.children() if isinstance(module, NORMS)][-1].weight.shape[0]


def shapes(network: nn.Module) -> list[tuple[int, ...]]:
    with torch.no_grad():
        size = (224, 224) if hasattr(network, 'classifier') else (128, 160)  # VGG's takes one size
        channels = 1024 if hasattr(network, 'stage') else 3  # the stage in the head of a C4 detector
        features = network(torch.empty(1, channels, *size, device='meta'))
    features = (features,) if isinstance(features, torch.Tensor) else features
    return [tuple(feature.shape) for feature in features if feature is not None]  # Inception's auxiliary classifier
