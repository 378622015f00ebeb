"""Where the gates of a network are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...compat.compiled import original, original_name
from ...errors import SeMmError, listed
from ...models.attention import Attention, Blend, Gain
from ...models.hosts.adapters import find_adapter
from ...models.hosts.attention_host import AttentionHost
from ...models.hosts.sites import Site
from ..complexity import parameters_of

#: Layers of mmdet, mmpretrain, timm and torchvision that return the product of their input and a gate.
NATIVE = (
    'ChannelAttention',
    'EffectiveSEModule',
    'SEModule',
    'SELayer',
    'SqueezeExcitation',
    'SqueezeExcite',
)


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

    Those of other libraries too that a network has by itself, as RTMDet's and MobileNetV3's do (``NATIVE``).
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
        own = isinstance(host, AttentionHost)
        if own and host.is_deployed:
            raise SeMmError(
                f'{name or type(host).__name__} is deployed: its norms are part of its convolutions, and its gates '
                'cannot be recorded; analyse the checkpoint that the training wrote, and deploy afterwards'
            )
        for site in (*(host.attention_sites() if own else ()), *native_sites(host)):
            layer = getattr(site.parent, site.native or 'se')
            if layer not in seen:
                layers.append(Gate('.'.join(filter(None, (name, site.name))), layer, site.channels, name, site))
                seen.update(layer.modules())
    for name, layer in named:
        if layer not in seen and (isinstance(layer, Attention) or type(layer).__name__ in NATIVE):
            layers.append(Gate(name, layer, _channels_of(layer)))
            seen.update(layer.modules())
    order = {module: i for i, (_, module) in enumerate(named)}
    layers.sort(key=lambda gate: order[gate.layer])
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
    return type(layer).gate is not Attention.gate if isinstance(layer, Attention) else type(layer).__name__ in NATIVE


def native_sites(host: nn.Module) -> list[Site]:
    """Where attention of a network's own stands, if se_mm knows its sites."""
    adapter = host.adapter if isinstance(host, AttentionHost) else find_adapter(host)
    return [] if adapter is None else [site for site in adapter.sites(host) if site.native]


def _channels_of(layer: nn.Module) -> int:
    if isinstance(layer, Attention):
        return layer.in_channels
    return next(module.in_channels for module in layer.modules() if isinstance(module, nn.Conv2d))


def gate_on(layer: nn.Module, u: Tensor) -> Tensor:
    """What a layer multiplies a map (N, C, H, W) by; of a layer of another library the other factor of its product.

    Raises:
        SeMmError: if that is not what the layer returns.
    """
    if isinstance(layer, Attention):
        return layer.gate(u)
    with _LastProduct() as product:
        out = layer.forward(u)
    factors = [factor for factor in product.factors if factor is not u]
    if product.value is not out or len(factors) != 1:
        raise SeMmError(f'{type(layer).__name__} does not return the product of its input and a gate')
    return factors[0]


class _LastProduct(TorchFunctionMode):
    """Remembers the last product that is computed, and its factors."""

    factors: tuple[Any, ...] = ()
    value: Any = None

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        if function.__name__ in ('mul', '__mul__', '__rmul__'):
            self.factors, self.value = args[:2], out
        return out


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
    if any(isinstance(module, AttentionHost) for module in model.modules()):
        return 'its attention_stages and attention_blocks leave none, as where all gates were pruned'
    return 'it is a plain network: --se gives its config SE, and it has to be trained'
