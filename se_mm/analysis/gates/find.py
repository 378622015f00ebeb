"""Where the gates of a network are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from mmengine.logging import print_log
from torch import nn

from ...compat.compiled import original, original_name
from ...errors import SeMmError, listed
from ...models.attention import Attention, Blend, Gain
from ...models.hosts.attention_host import AttentionHost
from ...models.hosts.sites import Site
from ..complexity import parameters_of


@dataclass(frozen=True)
class Gate:
    """An attention layer that multiplies, in a model."""

    #: Of the unit that it stands in (``'backbone.layer1.0'``), or of the layer itself where it is a plugin.
    name: str
    layer: nn.Module
    #: C of the map that is rescaled.
    channels: int
    #: Name of the host in the model, and where the layer stands in it; a plugin has neither.
    host: str = ''
    site: Site | None = None

    @property
    def parameters(self) -> int:
        return parameters_of(self.layer)


def find_gates(model: nn.Module) -> list[Gate]:
    """The attention layers of a model, compiled or wrapped as it may be, that have a gate, from input to output.

    Layers that do not multiply the map (``ContextBlock`` adds to it) are left out, with a warning.

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
        if not isinstance(host, AttentionHost):
            continue
        if host.is_deployed:
            raise SeMmError(
                f'{name or type(host).__name__} is deployed: its norms are part of its convolutions, and its gates '
                'cannot be recorded; analyse the checkpoint that the training wrote, and deploy afterwards'
            )
        for site in host.attention_sites():
            layers.append(Gate('.'.join(filter(None, (name, site.name))), site.parent.se, site.channels, name, site))
            seen.update(site.parent.se.modules())
    for name, layer in named:
        if isinstance(layer, Attention) and layer not in seen:
            layers.append(Gate(name, layer, layer.in_channels))
            seen.update(layer.modules())
    gates = [layer for layer in layers if has_gate(layer.layer)]
    left_out = [layer for layer in layers if not has_gate(layer.layer)]
    without = [f'{layer.name} ({type(_unwrapped(layer.layer)).__name__})' for layer in left_out]
    if not gates:
        raise SeMmError(f'the model has no gates to analyse; {_why_none(model, without)}')
    if without:
        print_log(f'left out, since they have no gate: {listed(without)}', logger='current', level=logging.WARNING)
    return gates


def has_gate(layer: nn.Module) -> bool:
    """Whether an attention layer multiplies its map by a gate that it can return.

    Example:
        >>> from se_mm.models.attention import ContextBlock, SELayer
        >>> has_gate(SELayer(16)), has_gate(ContextBlock(16)), has_gate(Blend(SELayer(16)))
        (True, False, True)
    """
    layer = _unwrapped(layer)
    return isinstance(layer, Attention) and type(layer).gate is not Attention.gate


def _unwrapped(layer: nn.Module) -> nn.Module:
    return layer.layer if isinstance(layer, (Blend, Gain)) else layer


def short_names(gates: Sequence[Gate]) -> dict[str, str]:
    """The names of gates without the host that all of them stand in, by their whole names."""
    hosts = {gate.host for gate in gates}
    prefix = f'{hosts.pop()}.' if len(hosts) == 1 else ''
    return {gate.name: gate.name.removeprefix(prefix) for gate in gates}


def _why_none(model: nn.Module, without: Sequence[str]) -> str:
    if without:
        return f'its attention layers do not multiply the map: {listed(without, 3)}'
    foreign = [name for name, module in model.named_modules() if type(module).__name__ in ('SELayer', 'SEModule')]
    if foreign:
        return (
            f'{foreign[0]} is an SE layer of another library: take the config of type se_mm.SEResNet, and convert the '
            'checkpoint with tools/convert_checkpoint.py'
        )
    if any(isinstance(module, AttentionHost) for module in model.modules()):
        return 'its attention_stages and attention_blocks leave none, as where all gates were pruned'
    return 'it is a plain network: --se gives its config SE, and it has to be trained'
