"""The gates of a network: where they are, and their values on pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..compat.compiled import eager, original, original_name
from ..errors import SeMmError, listed
from ..models.attention import Attention, Blend
from ..models.hosts.attention_host import AttentionHost
from ..models.hosts.sites import Site
from .complexity import parameters_of


@dataclass(frozen=True)
class Gate:
    """An attention layer that multiplies, in a model.

    Attributes:
        name: of the unit that it stands in (``'backbone.layer1.0'``); of the layer itself where it is
            a plugin outside a host.
        layer: the layer.
        channels: C of the map that is rescaled.
        host: name of the host in the model; empty for a plugin.
        site: where the layer stands in the host; ``None`` for a plugin.
    """

    name: str
    layer: nn.Module
    channels: int
    host: str = ''
    site: Site | None = None

    @property
    def parameters(self) -> int:
        """The number of parameters of the layer."""
        return parameters_of(self.layer)


def find_gates(model: nn.Module) -> list[Gate]:
    """The attention layers of a model that have a gate, from input to output.

    Layers that do not multiply the map (``ContextBlock`` adds to it) are left out, and said once.

    Args:
        model: with backbones of se_mm, or with se_mm's layers as plugins; compiled or wrapped for
            data-parallel training as it may be.

    Raises:
        SeMmError: if there is none, or a backbone is deployed.

    Example:
        >>> from se_mm import SEResNet
        >>> [gate.name for gate in find_gates(SEResNet(18, attention_stages=(3,)))]
        ['layer4.0', 'layer4.1']
    """
    layers, seen = [], set()
    named = [(original_name(name), module) for name, module in original(model).named_modules()]
    for name, host in named:
        if isinstance(host, AttentionHost):
            if host.is_deployed:
                raise SeMmError(
                    f'{name or type(host).__name__} is deployed: its norms are part of its convolutions, and its gates '
                    'cannot be watched; analyse the checkpoint that the training wrote, and deploy afterwards'
                )
            for site in host.attention_sites():
                layers.append(Gate(_joined(name, site.name), site.parent.se, site.channels, name, site))
                seen.update(site.parent.se.modules())
    for name, layer in named:
        if isinstance(layer, Attention) and layer not in seen:
            layers.append(Gate(name, layer, layer.in_channels))
            seen.update(layer.modules())
    gates = [layer for layer in layers if has_gate(layer.layer)]
    without = [f'{layer.name} ({_kind(layer.layer)})' for layer in layers if not has_gate(layer.layer)]
    if not gates:
        what = (
            f'its attention layers do not multiply the map: {listed(without, 3)}'
            if without
            else _other_attention(model)
        )
        raise SeMmError(f'the model has no gates to analyse; {what}')
    if without:
        print_log(f'left out, since they have no gate: {listed(without)}', logger='current', level=logging.WARNING)
    return gates


def has_gate(layer: nn.Module) -> bool:
    """Whether an attention layer multiplies its map by something that can be asked for.

    Example:
        >>> from se_mm.models.attention import ContextBlock, SELayer
        >>> has_gate(SELayer(16)), has_gate(ContextBlock(16)), has_gate(Blend(SELayer(16)))
        (True, False, True)
    """
    if isinstance(layer, Blend):
        return has_gate(layer.layer)
    return isinstance(layer, Attention) and type(layer).gate is not Attention.gate


def _joined(*names: str) -> str:
    return '.'.join(name for name in names if name)


def _kind(layer: nn.Module) -> str:
    return type(layer.layer if isinstance(layer, Blend) else layer).__name__


def _other_attention(model: nn.Module) -> str:
    """What a model without attention of ours could be told."""
    foreign = [name for name, module in model.named_modules() if type(module).__name__ in ('SELayer', 'SEModule')]
    if foreign:
        return (
            f'{foreign[0]} is an SE layer of another library: take the config of type se_mm.SEResNet, and convert the '
            'checkpoint with tools/convert_checkpoint.py'
        )
    if any(isinstance(module, AttentionHost) for module in model.modules()):
        return 'its attention_stages and attention_blocks leave none, as where all gates were pruned'
    return 'it is a plain network: --se gives its config SE, and it has to be trained'


def channel_gate(layer: nn.Module, u: Tensor) -> Tensor:
    """The gate of each channel for a map, (N, C), float32: the mean over positions where it differs between them.

    Args:
        layer: one that :func:`has_gate`.
        u: what comes into it, (N, C, H, W).
    """
    gate = layer.gate(u).detach()
    return gate.float().mean((2, 3)).expand(u.shape[0], u.shape[1])


@contextmanager
def watched(gates: Sequence[Gate], look: Any = channel_gate) -> Iterator[dict[str, list[Tensor]]]:
    """While it lasts, each call of a layer adds ``look(layer, u)`` to the list under the gate's name.

    A hook on the layer also keeps its unit from taking a fused form in which the layer is not called.
    """
    found: dict[str, list[Tensor]] = {gate.name: [] for gate in gates}

    def hook_of(name: str) -> Any:
        return lambda layer, inputs: found[name].append(look(layer, inputs[0]))

    handles = [gate.layer.register_forward_pre_hook(hook_of(gate.name)) for gate in gates]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def gates_on(model: nn.Module, batches: Iterable[Any], gates: Sequence[Gate]) -> Iterator[dict[str, np.ndarray]]:
    """The gates on each batch of pictures.

    Only the backbone (and the neck behind it) runs, in inference. A layer that is called several times
    for a picture gives the mean of its calls.

    Args:
        model: a detector of mmdet or a classifier of mmpretrain.
        batches: as the data loader of its config gives them.
        gates: of :func:`find_gates`.

    Yields:
        (N, C) float32 by the name of the gate, for the N pictures of the batch.

    Raises:
        SeMmError: if a layer is not called, as in the last stages of a backbone that are not used.
    """
    for calls in looks_on(model, batches, gates, channel_gate):
        yield {name: value.cpu().numpy() for name, value in calls.items()}


@torch.no_grad()
def looks_on(model: nn.Module, batches: Iterable[Any], gates: Sequence[Gate], look: Any) -> Iterator[dict[str, Tensor]]:
    """As :func:`gates_on`, with what ``look(layer, u)`` gives in place of the gate."""
    model = original(model)
    model.eval()
    for batch in batches:
        with eager(model), watched(gates, look) as calls:
            run_backbone(model, batch)
        idle = [name for name, values in calls.items() if not values]
        if idle:
            raise SeMmError(f'these layers take no part in the model, and have no gates to analyse: {listed(idle)}')
        yield {name: sum(values) / len(values) for name, values in calls.items()}


def run_backbone(model: nn.Module, batch: Any) -> Any:
    """The features of a batch, without heads."""
    inputs = model.data_preprocessor(batch, False)['inputs']
    return model.extract_feat(inputs)
