"""What makes a network a host of attention: the arguments, the sites, the start, the weights."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...compat.compiled import original_names
from ...compat.init_info import QuietInitialisation
from ...errors import SeMmError
from ...weights.families import joined
from ...weights.loadable import Loadable
from ..attention import Gain, SELayer
from ..attention.base import variant_of
from ..attention.operators import AT_ZERO
from ..composed import Addition
from ..deploy import deploy
from .adapters import adapter_of
from .attention_arguments import (
    attention_class,
    attention_config,
    block_indices,
    build_attention,
    check_lists,
    stage_indices,
    with_norms_of,
)
from .named_modules import adapter_for
from .sites import HostAdapter, Site, check_position, rescaled, units_per_stage

SE_INITS = ('default', 'identity', 'random')
STEM_POOLS = ('torch', 'caffe')


class AttentionHost(Loadable, QuietInitialisation, Addition):
    """Gives a network attention at its insertion sites; stands before the network in the bases.

    The network builds itself first, so its own parameters have the names and the random start of the plain
    network. An attention layer is called ``se`` in its unit (``layer1.0.se``), as in timm.

    Args:
        attention: the layer and its arguments, ``dict(type='SELayer', reduction=16, ...)``, or as the command
            line names it, ``'eca'``, ``'cbam,reduction=8'``. An
            argument is one value, or a list of one per stage, or of lists of one per block.
        attention_stages: the stages that carry attention, as indices or as one bool per stage. ``None``: all.
        attention_blocks: the units that carry attention in those stages: for each stage of the host the
            indices of its units, or ``None`` for all. ``None``: all units. ``tools/prune_gates.py`` writes it.
        attention_sites: names of modules whose output is a map, in place of the sites that are known of the network;
            ``*`` stands for one level (``['stages.*.blocks.*']``). Each pattern is a stage. The layers start with a
            gain, as the exact identity.
        native_blocks: the units that keep attention of the host's own (as in MobileNetV3), given as
            ``attention_blocks``. Elsewhere it is taken out, and ``attention`` can stand in its place; ``None``: all.
        attention_position: ``'standard'``: on the residual branch, before the addition; ``'pre'``, ``'post'``,
            ``'identity'``, ``'conv2'``: see the paper's tables 14 and 15; ``'rectified'``: behind a ReLU at the end of
            the branch, as timm's ``legacy_seresnet18`` and ``34``; ``'sum'``: on the mixed branches of a Shake-Shake
            unit.
        reduction: short for ``attention=dict(reduction=...)``; 16 where neither is given.
        se_bias: short for ``attention=dict(bias=...)``.
        se_stages: another name of ``attention_stages``.
        se_init: ``'default'``: the gates start where the host's initialisation puts them. ``'identity'``: after
            ``init_weights`` the network equals its plain twin in every bit, and trains: each gate starts as a
            constant (1/2 for SE), which the weights beside it compensate. ``'random'``: as ``'default'``, and with
            the weights of a plain network too, which it then does not equal.
        fold_norms: whether a training step folds norms with frozen statistics into the convolutions before
            them, which keeps half of the maps for the backward and changes the features by rounding (about 1e-6
            relative in float32). ``False``: an identity start is exact in a training step too.
        stem_pool: ``'torch'``: the stem pools 3x3 with stride 2 and padding 1. ``'caffe'``: without padding, in
            ceil mode, as the networks that come from Caffe were trained; of residual hosts alone.
        **kwargs: every argument of the host.

    Raises:
        SeMmError: for another value, a host without sites, or ``se_init='identity'`` without an exact start.
    """

    adapter: HostAdapter
    is_deployed = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = _signature(cls)

    def __init__(
        self,
        *,
        attention: Mapping[str, Any] | str | None = None,
        attention_stages: Sequence[int] | Sequence[bool] | None = None,
        attention_blocks: Sequence[Sequence[int] | None] | None = None,
        attention_sites: Sequence[str] | None = None,
        native_blocks: Sequence[Sequence[int] | None] | None = None,
        attention_position: str = 'standard',
        reduction: int | Sequence[Any] | None = None,
        se_bias: bool | None = None,
        se_stages: Sequence[int] | Sequence[bool] | None = None,
        se_init: str = 'default',
        fold_norms: bool = True,
        stem_pool: str = 'torch',
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.attend(
            attention_config(attention, reduction=reduction, se_bias=se_bias),
            attention_sites=attention_sites,
            attention_stages=attention_stages,
            attention_blocks=attention_blocks,
            native_blocks=native_blocks,
            attention_position=attention_position,
            se_stages=se_stages,
            se_init=se_init,
            fold_norms=fold_norms,
            stem_pool=stem_pool,
        )

    def attend(
        self,
        config: dict[str, Any],
        *,
        attention_sites: Sequence[str] | None = None,
        attention_stages: Sequence[int] | Sequence[bool] | None = None,
        attention_blocks: Sequence[Sequence[int] | None] | None = None,
        native_blocks: Sequence[Sequence[int] | None] | None = None,
        attention_position: str = 'standard',
        se_stages: Sequence[int] | Sequence[bool] | None = None,
        se_init: str = 'default',
        fold_norms: bool = True,
        stem_pool: str = 'torch',
        example: Any = None,
    ) -> None:
        """Puts attention into the network that is built; the arguments are those of the class."""
        for name, value, known in (('se_init', se_init, SE_INITS), ('stem_pool', stem_pool, STEM_POOLS)):
            if value not in known:
                raise SeMmError(f'{name} must be one of {known}, got {value!r}')
        if attention_stages is not None and se_stages is not None:
            raise SeMmError('attention_stages and se_stages are two names of one argument; give one of them')
        self.adapter = adapter_of(self) if attention_sites is None else adapter_for(self, attention_sites, example)
        self.families = self.adapter.naming(self)
        check_position(self.adapter, attention_position, type(self).__name__)
        self.attention_position = attention_position
        self.se_init = se_init
        self.fold_norms = fold_norms
        self.stem_pool = stem_pool
        self._check_stem_pool()
        num_stages = self.adapter.num_stages(self)
        name = 'attention_stages' if se_stages is None else 'se_stages'
        chosen = attention_stages if se_stages is None else se_stages
        self.attention_stages = stage_indices(chosen, num_stages, name)
        sites = list(self.adapter.sites(self, attention_position))
        units = units_per_stage(sites, num_stages)
        check_lists(config, units)
        self.attention_blocks = block_indices(attention_blocks, units)
        self._keep_native(sites, block_indices(native_blocks, units, 'native_blocks'))
        self._insert(config, filter(self._carries, sites))
        for site in self.attention_sites() if se_init == 'identity' else ():
            try:
                _constant_layer(site)
            except SeMmError as error:
                raise SeMmError(f"se_init='identity' is impossible: {error}; or leave se_init out") from error
        if stem_pool == 'caffe':
            self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)
        if hasattr(self, '_freeze_stages'):
            self._freeze_stages()

    def attention_sites(self) -> Iterator[Site]:
        """The sites where attention stands, from input to output; the layer is ``site.parent.se``."""
        return filter(self._carries, self.adapter.sites(self, self.attention_position))

    def _carries(self, site: Site) -> bool:
        carries = site.stage in self.attention_stages and site.block in self.attention_blocks[site.stage]
        return carries and site.name not in self.native_sites

    def _keep_native(self, sites: Iterable[Site], kept: Sequence[Sequence[int]]) -> None:
        """Takes the host's own attention out where it is not kept."""
        native = [site for site in sites if site.native]
        self.native_sites = frozenset(site.name for site in native if site.block in kept[site.stage])
        left_out = tuple(f'{site.name}.{site.native}.' for site in native if site.name not in self.native_sites)
        own = [
            key
            for key, _ in (*self.named_parameters(), *self.named_buffers())
            if '.se.' in f'.{key}' or key.startswith(left_out)
        ]
        #: The tensors of the host's own attention that are left out, and those that are named as ours are.
        self.left_out_keys = frozenset(key for key in own if key.startswith(left_out))
        self.native_keys = frozenset(own) - self.left_out_keys
        for site in native:
            if site.name not in self.native_sites:
                setattr(site.parent, site.native, nn.Identity())

    def _check_stem_pool(self) -> None:
        if self.stem_pool not in self.adapter.stem_pools:
            raise SeMmError(f'{type(self).__name__} has no stem_pool {self.stem_pool!r}: leave it out')
        if self.stem_pool == 'caffe' and not hasattr(self, 'maxpool'):
            raise SeMmError(f'{type(self).__name__} has no pooling in its stem: leave stem_pool out')

    def _insert(self, config: dict[str, Any], sites: Iterable[Site]) -> None:
        """Puts a layer of its own at each of some sites."""
        if attention_class(config['type']) is SELayer:
            config.setdefault('divisor', self.adapter.se_divisor)
        sites, num_stages = list(sites), self.adapter.num_stages(self)
        layers = with_norms_of(self, [build_attention(config, s, num_stages, self.adapter.exact) for s in sites])
        for site, layer in zip(sites, layers, strict=True):
            self.adapter.insert(site, layer, self.attention_position)
            if not self.fold_norms and hasattr(site.parent, 'fold_norms'):
                site.parent.fold_norms = False
        self._attention_names = [f'{site.name}.se' for site in sites]  # a save finds them in whatever wraps them

    def init_weights(self) -> None:
        if not isinstance(self, BaseModule):
            return  # a network from outside configs has its weights
        first_time = not self.is_init
        super().init_weights()
        if not first_time or self.given_weights:
            return
        for site in self.attention_sites():
            if isinstance(site.parent.se, Gain):  # the host has initialised it as any other layer
                site.parent.se.zero_init_gate()
        own = self.state_dict(keep_vars=True)
        if self.se_init == 'identity':
            with torch.no_grad():
                for key, value in self.identity_state(own).items():
                    own[key].copy_(value)
        dead = [site.parent.se.gate_type for site in self.attention_sites() if _is_dead(site, own)]
        if dead:
            what = f'{type(self).__name__}: {len(dead)} residual branches cannot learn'
            why = f'they start at zero, where gate={dead[0]!r} is zero too'
            print_log(f'{what}: {why}; set zero_init_residual=False', logger='current', level=logging.WARNING)

    def identity_state(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What has to change in a plain network's weights for this network to equal the plain one.

        Args:
            weights: a state dict with the host's own names.

        Returns:
            The parameters of the attention layers, and those of the host that compensate their constant gates.

        Raises:
            SeMmError: if a layer or its position has no exact start.
        """
        if self.se_init == 'random':
            raise SeMmError("se_init='random' asks for another start")
        changed: dict[str, Tensor] = {}
        for site in self.attention_sites():
            constant, layer = _constant_layer(site)
            changed |= {f'{site.name}.se.{key}': value for key, value in layer.items()}
            for part in site.compensation:
                if part.name in weights:
                    value = changed.get(part.name, weights[part.name])
                    changed[part.name] = rescaled(value, part, 1 / constant)
        return changed

    def train(self, mode: bool = True) -> AttentionHost:
        if mode and self.is_deployed:
            raise SeMmError(
                f'this {type(self).__name__} is deployed: its norms are part of its convolutions, and it cannot be '
                'trained; build it anew, load the weights and train that'
            )
        super().train(mode)
        return self  # which the hosts forget, so that their eval() returns None

    def deploy(self, compiled: bool = False) -> AttentionHost:
        """:func:`se_mm.models.deploy.deploy`, in place; returns the backbone, which then refuses training and weights.

        Args:
            compiled: whether ``torch.compile`` fuses what is left; needs a C++ compiler.

        Raises:
            SeMmError: if its outputs change by more than rounding; the backbone is then as before.
        """
        if not self.is_deployed:
            deploy(self, compiled)
            self.is_deployed = True
        return self

    def variant(self) -> dict[str, str]:
        """What is saved with the weights, since their shapes do not tell it; without sites that are no longer there."""
        stem_pool = {'stem_pool': self.stem_pool} if len(self.adapter.stem_pools) > 1 else {}
        originals = original_names(self)
        modules = {originals[name]: module for name, module in self.named_modules()}  # the innermost of each name
        names = [name for name in self._attention_names if name in modules]
        layers = {name.removesuffix('.se'): variant_of(modules[name]) for name in names}
        attention = {'attention_position': self.attention_position, 'attention': joined(layers)} if layers else {}
        return self.adapter.variant(self) | stem_pool | attention

    def plugin_names(self) -> Iterator[str]:
        """The plugins in the residual units, as prefixes of their parameters (``layer2.0.gcb.``)."""
        for name, module in self.named_modules():
            for conv in (1, 2, 3):
                yield from (f'{name}.{plugin}.' for plugin in getattr(module, f'after_conv{conv}_plugin_names', ()))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        if self.is_deployed:
            raise SeMmError(f'this {type(self).__name__} is deployed: load its weights before that')
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def _is_dead(site: Site, weights: Mapping[str, Tensor]) -> bool:
    """Whether ``gate(u) * u`` has no gradient: the norm before it gives ``u = 0``, and ``gate(0)`` is zero."""
    layer = site.parent.se
    if getattr(layer, 'gate_type', 'sigmoid') in AT_ZERO:
        return False
    affine = [weights[part.name] for part in site.compensation if not part.reads]
    if not affine or any(parameter.any() for parameter in affine):
        return False
    return not layer.excitation(affine[0].new_zeros(1, site.channels, 1, 1)).any()


def _constant_layer(site: Site) -> tuple[float, dict[str, Tensor]]:
    """The constant that a layer's gate starts from, and the layer's state there; the layer itself stays."""
    layer, start = copy.deepcopy(site.parent.se), 'blend'
    try:
        if not hasattr(layer, 'zero_init_gate'):
            raise SeMmError(f'{type(layer).__name__} has no start at which it changes nothing')
        constant, start = layer.zero_init_gate(), 'gain'
        if site.obstacle and constant != 1:  # what starts as the identity needs no compensation
            raise SeMmError(site.obstacle)
    except SeMmError as error:
        way_out = f"attention=dict(start='{start}') starts as the identity anywhere"
        raise SeMmError(f'{site.name} has no exact start: {error}; {way_out}') from error
    return constant, layer.state_dict()


def _signature(cls: type) -> inspect.Signature:
    """The arguments of a class, and those that it hands on to its bases, by name alone."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__[:-1]:
        given = list(inspect.signature(base.__init__).parameters.values())[1:] if '__init__' in vars(base) else ()
        named = [p for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in found]
        found |= {p.name: p if base is cls else p.replace(kind=p.KEYWORD_ONLY) for p in named}
        if given and not any(p.kind is p.VAR_KEYWORD for p in given):
            break
    return inspect.Signature(list(found.values()))
