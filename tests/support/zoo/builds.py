"""Every twin builds, has the parameters that it should, and gives maps of the same shapes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import timm
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from se_mm.config.tree import value_at
from se_mm.swap import plan_swap, write_twin
from se_mm.swap.building import shapes_only
from se_mm.swap.changes import apply
from se_mm.swap.hosts import Host, scope_of

from .configs import Shipped

NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm)


def check(config: Shipped, cfg: Config, hosts: list[Host], folder: Path) -> None:
    """Raises an AssertionError, or whatever goes wrong, if one of the promises is not kept."""
    swap = plan_swap(cfg)
    twin = apply(swap, cfg)
    scope = scope_of(cfg)
    for host in hosts:
        plain = build(host.config, scope)
        before = list(plain.state_dict())
        se = build(value_at(twin, host.keys), scope)
        added = count(se) - count(plain)
        assert added == expected(plain), f'{host.name}: {added} parameters were added, not {expected(plain)}'
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


def expected(plain: nn.Module) -> int:
    """The parameters of timm's squeeze-and-excitation of each residual unit's width, which its last norm tells."""
    return sum(
        count(timm.layers.SEModule(width, rd_ratio=1 / 16, rd_divisor=8, device='meta'))
        for stage in plain.res_layers
        for width in map(width_of, getattr(plain, stage))
    )


def width_of(unit: nn.Module) -> int:
    """The channels of the last norm of a unit's branch."""
    return [module for module in unit.children() if isinstance(module, NORMS)][-1].weight.shape[0]


def shapes(network: nn.Module) -> list[tuple[int, ...]]:
    with torch.no_grad():
        features = network(torch.empty(1, 3, 128, 160, device='meta'))
    return [tuple(feature.shape) for feature in ((features,) if isinstance(features, torch.Tensor) else features)]
