"""What each attention layer costs in a ResNet: parameters and multiply-adds by count, time and memory as measured."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import nn

from ..analysis.complexity import count_macs, parameters_of
from ..config.attention import attention_named
from ..errors import SeMmError
from ..models.attention import LAYERS
from .candidates import Candidate
from .measuring import markdown_table

PLAIN = 'without attention'


def attentions(depth: int, named: Sequence[str], frozen: bool) -> list[Candidate]:
    """ResNet with each layer, and without.

    Args:
        depth: of the ResNets.
        named: layers as :func:`se_mm.config.attention.attention_named` takes them; ``['all']``: each.
        frozen: whether stem and first stage have no gradients and BatchNorm is in eval mode, as mmdet trains.

    Raises:
        SeMmError: for an unknown layer.

    Example:
        >>> [candidate.name for candidate in attentions(50, ['eca', 'se,gate=tanh'], frozen=False)]
        ['without attention', 'eca', 'se,gate=tanh']
    """
    freeze = dict(frozen_stages=1, norm_eval=True) if frozen else {}
    host: dict[str, Any] = dict(type='se_mm.SEResNet', depth=depth, **freeze)
    found = [Candidate(PLAIN, partial(MODELS.build, {**host, 'attention_stages': ()}))]
    for name in LAYERS if list(named) == ['all'] else named:
        attention = attention_named(name)
        found.append(Candidate(name, partial(MODELS.build, {**host, 'attention': attention}), PLAIN))
    return found


def costs(candidates: Sequence[Candidate], size: tuple[int, int] = (224, 224)) -> list[str]:
    """The lines of a Markdown table: parameters, multiply-adds of convolutions and matrix products, and starts.

    Args:
        candidates: of :func:`attentions`.
        size: height and width of the one picture that is counted.
    """
    rows, plain = [], None
    for candidate in candidates:
        with torch.device('meta'):
            network, image = candidate.build(), torch.empty(1, 3, *size)
            macs, _ = count_macs(network, partial(network, image))
        parameters = parameters_of(network)
        plain = plain or (parameters, macs)
        added, more = parameters - plain[0], macs - plain[1]
        rows.append(
            [candidate.name, f'{parameters:,}', f'{added:,}', f'{macs / 1e9:.4f}', f'{more / 1e6:.2f}', _start(network)]
        )
    title = f'GMAC @{size[0]}x{size[1]}'
    return markdown_table(['layer', 'parameters', 'added', title, 'MMAC added', "se_init='identity'"], rows)


def _start(network: nn.Module) -> str:
    layers = [module.se for module in network.modules() if hasattr(module, 'se')]
    try:
        return f'gate {layers[0].zero_init_gate():g}' if layers else ''
    except SeMmError:
        return "start='blend'"
