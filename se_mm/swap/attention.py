"""Which attention a twin gets: its start, and reductions that keep to a budget of parameters."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from ..errors import SeMmError
from ..models.attention import SELayer
from ..models.hosts.adapters import find_adapter
from ..models.hosts.attention_arguments import (
    LISTS,
    attention_class,
    attention_config,
    build_attention,
    stage_indices,
)
from ..models.hosts.sites import Site
from .building import shapes_only
from .hosts import Host, scope_of


def has_identity_start(attention: Mapping[str, Any]) -> bool:
    """Whether a layer has weights at which it is a constant, so that a network with it can equal the plain one.

    Example:
        >>> has_identity_start(dict(type='ECALayer', k_size=[3, 5, 5, 7])), has_identity_start(dict(type='SimAM'))
        (True, False)
    """
    config = attention_config(attention)
    per_stage = [value for name, value in config.items() if name not in LISTS and _is_list(value)]
    num_stages = max(map(len, per_stage), default=1)
    for stage in range(num_stages):
        blocks = [len(value[stage]) for value in per_stage if stage < len(value) and _is_list(value[stage])]
        for block in range(max(blocks, default=1)):
            site = Site('', nn.Identity(), stage, block, channels=512)
            if not _has_start(build_attention(config, site, num_stages)):
                return False
    return True


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _has_start(layer: nn.Module) -> bool:
    if not hasattr(layer, 'zero_init_gate'):  # of another library
        return False
    try:
        layer.zero_init_gate()
    except SeMmError:
        return False
    return True


def fit_reductions(cfg: Config, host: Host, se: Mapping[str, Any], limit: str | int) -> tuple[list[int], str]:
    """Reductions, one for each stage, with which attention adds no more parameters than a limit.

    From the reductions that were asked for, that of the stage whose layers have the most
    parameters is doubled until the sum fits: the last stages first, whose gates the paper finds
    to matter least (section 7.2).

    Args:
        cfg: the plain config.
        host: the network in it that gets attention.
        se: the arguments of the twin: ``attention``, ``reduction``, ``se_bias``, ``se_stages``.
        limit: ``'+2%'`` of the parameters of the backbone, or a number of them.

    Returns:
        The reductions, and a line that says what they add.

    Raises:
        SeMmError: if ``limit`` is neither, the layer has no reduction, or nothing fits.
    """
    with MODELS.switch_scope_and_registry(scope_of(cfg)) as registry, shapes_only():
        network = registry.build({**copy.deepcopy(dict(host.config)), 'init_cfg': None})
        plain = sum(p.numel() for p in network.parameters())
        most = _most(limit, plain)
        adapter = find_adapter(network)
        num_stages = adapter.num_stages(network)
        chosen = stage_indices(se.get('se_stages'), num_stages, 'se_stages')
        sites = [site for site in adapter.sites(network) if site.stage in chosen]
        given = se.get('attention') or {}
        config = attention_config(given or None, reduction=se.get('reduction'), se_bias=se.get('se_bias'))
        if attention_class(config['type']) is SELayer:
            config.setdefault('divisor', adapter.se_divisor)

        def added(reductions: list[int]) -> list[int]:
            layers = [
                (site.stage, build_attention({**config, 'reduction': reductions}, site, num_stages)) for site in sites
            ]
            return [
                sum(p.numel() for stage, layer in layers if stage == i for p in layer.parameters())
                for i in range(num_stages)
            ]

        reductions = _reductions(config, num_stages)
        widest = [max((site.channels for site in sites if site.stage == i), default=0) for i in range(num_stages)]
        parameters = added(reductions)
        while sum(parameters) > most:
            shrinkable = [i for i in range(num_stages) if 2 * reductions[i] <= widest[i]]
            if not shrinkable:
                raise SeMmError(
                    f'--max-params {limit}: {attention_class(config["type"]).__name__} adds {sum(parameters):,} '
                    f'parameters at least, {most:,} are allowed; choose another layer (eca adds next to none) or stages'
                )
            largest = max(shrinkable, key=parameters.__getitem__)
            reductions[largest] *= 2
            parameters = added(reductions)
    total = sum(parameters)
    return reductions, (
        f'reduction={reductions}: {total:,} parameters added, {100 * total / plain:.2f}% of the '
        f"backbone's {plain:,} (at most {most:,})"
    )


def _most(limit: str | int, plain: int) -> int:
    match = re.fullmatch(r'\+?\s*(\d+(?:\.\d+)?)\s*(%?)', str(limit))
    if match is None:
        raise SeMmError(
            f'--max-params must be a share of the backbone as +2%, or a number of parameters, got {limit!r}'
        )
    return int(plain * float(match[1]) / 100) if match[2] else int(float(match[1]))


def _reductions(config: Mapping[str, Any], num_stages: int) -> list[int]:
    cls = attention_class(config['type'])
    usual = inspect.signature(cls).parameters.get('reduction')
    if usual is None:
        raise SeMmError(f'--max-params chooses reductions, and {cls.__name__} has none; leave it out')
    value = config.get('reduction', usual.default)
    if isinstance(value, int):
        return [value] * num_stages
    if len(value) != num_stages or not all(isinstance(r, int) for r in value):
        raise SeMmError(f'--max-params takes one reduction, or one for each of the {num_stages} stages, got {value}')
    return list(value)
