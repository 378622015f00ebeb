"""Turning a foreign state dict into the backbone's own, completely or not at all."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Protocol

import torch
from mmengine.logging import print_log
from torch import Tensor

from ..compat.compiled import original_names
from ..compat.metadata import metadata_of, set_metadata
from ..errors import SeMmError, listed
from ..utils.hashing import digest_of
from .families import MMPRETRAIN, OTHER_GRAPHS, RESNETS, STANDARD_ATTENTION, Family, family_of, layers_in
from .state_dicts import count_idle_pooling, find_root, unwrap

#: An attention layer in our names, of any kind.
ATTENTION = re.compile(r'(?:.*\.)?se\.')
#: The two layers of SE, and their biases.
EXCITATION = re.compile(r'(?:.*\.)?se\.fc[12]\.(weight|bias)')
_BIAS = re.compile(r'(?:.*\.)?se\.fc[12]\.bias')

#: What deformable and switchable convolutions and the recursive pyramid of DetectoRS add to a published classifier.
_ADDED = re.compile(r'\.(conv_offset|rfp_conv|switch|pre_context|post_context|offset_[sl])\.|\.weight_diff$')
#: What mmcv's ConvAWS computes from its weights where a checkpoint lacks it.
_DERIVED = ('.weight_gamma', '.weight_beta')
#: Of classifiers, in all libraries, as their keys begin.
_HEAD = re.compile(r'(fc|head|classifier|last_linear|AuxLogits|aux_logits)\.')
#: What a difference in the variant means.
_MEANING = {'style': 'the stride is in another convolution', 'stem_pool': 'the stem pools another window'}


class Network(Protocol):
    """What loading needs to know of a backbone with attention."""

    #: The namings that its weights are published under, asked in this order; the last one matches every checkpoint.
    families: tuple[Family, ...]
    #: The tensors of attention that is the host's own, and those of it that this network leaves out.
    native_keys: frozenset[str]
    left_out_keys: frozenset[str]

    def state_dict(self) -> Mapping[str, Any]:
        """Its tensors, under our names."""

    def variant(self) -> dict[str, str]:
        """What the shapes of its tensors do not tell, as ``{'style': 'pytorch'}``; saved with its weights."""

    def plugin_names(self) -> Iterator[str]:
        """The beginnings of the keys of mmdet's plugins (``layer2.0.gcb.``), which keep their initial values."""

    def identity_state(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of attention, and those of a plain network's ``weights`` that change with them, with which this
        network equals the plain one; an ``SeMmError`` where there is no such start."""


def adapt(
    network: Network, state_dict: MutableMapping[str, Any], prefix: str, metadata: Mapping[str, Any]
) -> list[str]:
    """Rewrites what a load-state-dict hook was given into exactly the tensors of the network.

    Args:
        network: it is read only.
        state_dict: of one of its families; in place: afterwards it holds the network's tensors under ``prefix``, and
            nothing else that starts so.
        prefix: where the network stands in the module that is loaded.
        metadata: of the network, from the state dict; and where they are known the ``source`` that the weights were
            asked for as, and the ``file`` that they were read from.

    Returns:
        The keys beside the network's in its place that are left, and of no classifier's.

    Raises:
        SeMmError: if a tensor is missing, misshapen, damaged or has no place, or the variant is known and differs.
    """
    name, source, file = type(network).__name__, metadata.get('source', ''), metadata.get('file')
    origin = source or 'the given weights'
    wrapped = _names_in_wrappers(network)
    try:
        given = _out_of_wrappers(state_dict, prefix, wrapped)
        weights, stated, elsewhere, where = _locate(network, given, prefix, metadata)
        family = family_of(weights, network.families)
        known = stated or family.known_variant(weights, source, str(file or ''))
        own = {wrapped.get(key, key): value for key, value in network.state_dict().items()}
        _check_variant(network, family, known, weights, own, source)
        weights = _in_hosts_form(in_our_form(weights, family), own)
        lacking = {key: weights.pop(key) for key in network.left_out_keys & weights.keys()}
        own = {key: value for key, value in own.items() if key in weights or not key.endswith(_DERIVED)}
        heads = _heads_of_others(weights, own, family)
        taken = sum(key in weights for key in own)  # what is started or kept below is not in the file
        start = ''
        if _has_attention(weights, network):
            _add_zero_biases(weights, own)
        elif 'attention' not in known or _has_attention(own, network):  # else its layers have no weights
            start = _start_attention(network, weights, own, but=' but for its own attention' if lacking else '')
        added = [*_keep_what_the_config_adds(network, weights, own), *_modules(heads)]
        weights.update({key: own[key].clone() for key in heads})
        left = _account(weights, own, family)
        _check_values(weights, own)
    except SeMmError as error:
        raise SeMmError(f'{name} takes nothing from {origin}: {error}') from None

    for key in [key for key in state_dict if key.startswith(prefix)]:
        del state_dict[key]
    inside_wrappers = {original: key for key, original in wrapped.items()}
    state_dict.update({f'{prefix}{inside_wrappers.get(key, key)}': weights[key] for key in own})
    log = [
        f'{name}: {taken} tensors from {origin}' + (f' (sha256 {digest_of(file)[:16]})' if file else ''),
        f'family: {family.name}',
        f'found under {where}' if where else '',
        start,
        f'keep their initial values: {listed(added)}' if added else '',
        f'left: {listed(_modules([*left, *lacking, *elsewhere])) or "nothing"}',
    ]
    print_log('; '.join(filter(None, log)), logger='current', level=logging.INFO)
    return [key for key in left if not (_HEAD.match(key) or re.match(family.layout.network, key))]


def _names_in_wrappers(network: Network) -> dict[str, str]:
    """The names of the tensors of blocks that are wrapped, each with the one that it has without wrappers."""
    originals = original_names(network)
    modules = ((key, *key.rpartition('.')) for key in network.state_dict())
    return {key: f'{originals[m]}.{leaf}' for key, m, _, leaf in modules if originals.get(m, m) != m}


def _out_of_wrappers(state_dict: Mapping[str, Any], prefix: str, wrapped: Mapping[str, str]) -> Mapping[str, Any]:
    given = OrderedDict(state_dict)
    set_metadata(given, metadata_of(state_dict))
    for key in [key for key in wrapped if f'{prefix}{key}' in given]:
        given[f'{prefix}{wrapped[key]}'] = given.pop(f'{prefix}{key}')
    return given


def _locate(
    network: Network, state_dict: Mapping[str, Any], prefix: str, metadata: Mapping[str, Any]
) -> tuple[dict[str, Tensor], Mapping[str, str], list[str], str]:
    """The tensors of the network, what the file says of them, the keys beside them, and where they stood."""
    weights, wrapper = (state_dict, '') if prefix else unwrap(state_dict)
    landmarks = dict.fromkeys(family.landmark for family in network.families)
    root = find_root(weights, prefix, landmarks)
    if root is None:
        beginnings = listed(sorted({key.split('.')[0] for key in weights if key.startswith(prefix)}))
        place = f' under {prefix!r}' if prefix else ''
        raise SeMmError(
            f'there is no network of this kind{place} (no key ...{" or ...".join(landmarks)}); it has '
            f'{beginnings or "no keys there"}. Weights of a classifier or a bare backbone belong in the '
            "backbone's init_cfg=dict(type='Pretrained', checkpoint=...)"
        )
    inside = {key[len(root) :]: value for key, value in weights.items() if key.startswith(root)}
    pattern = network.families[0].layout.network
    tensors = {key: value for key, value in inside.items() if isinstance(value, Tensor)}
    if not_tensors := [key for key in inside if key not in tensors and re.match(pattern, key)]:
        raise SeMmError(f'these are no tensors: {listed(not_tensors)}')
    elsewhere = [key for key in weights if key.startswith(prefix) and not key.startswith(root)]
    stated = _in_todays_words(metadata.get('se_mm') or {}) or stated_variant(weights, root)
    where = '.'.join(filter(None, (wrapper, root.removeprefix(prefix).removesuffix('.'))))
    return tensors, stated, elsewhere, where


def stated_variant(weights: Mapping[str, Any], root: str) -> Mapping[str, str]:
    """The variant in the metadata of a state dict; empty where there is none."""
    stated = {name: data['se_mm'] for name, data in metadata_of(weights).items() if 'se_mm' in data}
    sole = next(iter(stated.values())) if len(stated) == 1 else {}
    return _in_todays_words(stated.get(root.removesuffix('.'), sole))


def _in_todays_words(stated: Mapping[str, str]) -> Mapping[str, str]:
    """A variant as it is stated today: older files tell the gate and the squeeze of SE, and nothing of other layers."""
    if 'attention' in stated or not {'gate', 'squeeze'} <= stated.keys():
        return stated
    return {**stated, 'attention': f'SELayer(squeeze={stated["squeeze"]!r}, gate={stated["gate"]!r})'}


def _check_variant(
    network: Network,
    family: Family,
    known: Mapping[str, str],
    weights: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    source: str,
) -> None:
    if other := OTHER_GRAPHS.search(source if '://' in source else Path(source).name):
        raise SeMmError(f'by its name it is of another network ({other[0]}), with the same tensors and another graph')
    ours = network.variant()
    if family.layout.bottleneck not in weights:
        ours.pop('style', None)
    if 'attention' not in known and not _has_attention(map(family.to_ours, weights), network):
        ours = {name: value for name, value in ours.items() if name not in STANDARD_ATTENTION}
    attention = ours.pop('attention', '')
    fixes = [
        f"{name}='{known[name]}' (the config has '{value}': {_MEANING.get(name, 'another graph')})"
        for name, value in ours.items()
        if known.get(name, value) != value
    ]
    if attention and 'attention' in known:
        fixes += _other_attention(known['attention'], attention, own)
    if fixes:
        raise SeMmError(f'the weights are of the family {family.name} and need {" and ".join(fixes)} in the backbone')


def _has_attention(keys: Iterable[str], network: Network) -> bool:
    """Whether there is attention among some tensors that is not the host's own."""
    native = network.native_keys | network.left_out_keys
    return any(ATTENTION.match(key) and key not in native for key in keys)


def _other_attention(theirs: str, ours: str, own: Mapping[str, Tensor]) -> list[str]:
    """The first site whose layer is another one in the file; sites that the network leaves out do not count."""
    here = {key.partition('.se.')[0] for key in own if ATTENTION.match(key)}
    stated = {site: layer for site, layer in layers_in(theirs).items() if not (site and here) or site in here}
    has = layers_in(ours)
    for site in dict.fromkeys([*stated, *has]):
        layer, wanted = has.get(site, has.get('')), stated.get(site, stated.get(''))
        if layer and wanted and layer != wanted:
            place = f' at {site}' if site else ''
            return [f'attention={wanted}{place} (the config has {layer}: another function of the same weights)']
    return []


def in_our_form(weights: Mapping[str, Tensor], family: Family) -> dict[str, Tensor]:
    """A network under our names, the linear layers of SE as 1x1 convolutions."""
    ours = count_idle_pooling({family.to_ours(key): value for key, value in weights.items()}, counted=True)
    for key, value in ours.items():
        if EXCITATION.fullmatch(key) and value.ndim == 2:
            ours[key] = value[:, :, None, None]
        elif key.endswith('.se.alpha'):  # without a dimension in older files
            ours[key] = value.view(-1)
    return ours


def _in_hosts_form(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """mmpretrain's hosts name a deep stem in a way of their own, and count no pooling that does nothing."""
    if 'stem.0.conv.weight' in own and RESNETS[-1].landmark in own:
        weights = {MMPRETRAIN.to_theirs(key) if key.startswith('stem.') else key: weights[key] for key in weights}
    return count_idle_pooling(weights, counted='layer1.0.downsample.2.weight' in own)


def _add_zero_biases(weights: dict[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """SE without biases is SE whose biases are zero."""
    biases = set(filter(_BIAS.fullmatch, [*weights, *own]))
    if biases.isdisjoint(weights):
        weights.update({key: torch.zeros_like(own[key]) for key in biases})


def _start_attention(network: Network, weights: dict[str, Tensor], own: Mapping[str, Tensor], but: str) -> str:
    """Adds attention to a plain network's weights; returns how it starts."""
    try:
        changed = network.identity_state(weights)
    except SeMmError as error:
        mine = {key: value.clone() for key, value in own.items() if ATTENTION.match(key)}
        weights.update({key: value for key, value in mine.items() if key not in network.native_keys})
        print_log(
            f'{type(network).__name__} does NOT equal the plain network whose weights it is given, since {error}; '
            'its attention keeps its initial values',
            logger='current',
            level=logging.WARNING,
        )
        return 'attention keeps its initial values'
    weights.update(changed)
    return f'attention starts such that the network equals the plain one{but}' if changed else ''


def _keep_what_the_config_adds(network: Network, weights: dict[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """The modules that no published classifier has, such as plugins; they stay as they are."""
    plugins = tuple(network.plugin_names())
    added = [key for key in own if _ADDED.search(key) or (plugins and key.startswith(plugins))]
    if any(key in weights for key in added):
        return []  # a detector that had them must have them all
    weights.update({key: own[key].clone() for key in added})
    return added


def _heads_of_others(weights: dict[str, Tensor], own: Mapping[str, Tensor], family: Family) -> list[str]:
    """Takes classifiers for other classes out of the weights; returns the network's own in their place."""
    heads: dict[str, list[str]] = {}
    for key in own if family.layout.head else ():
        if (match := re.match(family.layout.head, key)) and not key.endswith('num_batches_tracked'):
            heads.setdefault(match[0], []).append(key)
    others = []
    for keys in heads.values():
        if any(key not in weights or weights[key].shape != own[key].shape for key in keys):
            others += keys
    for key in others:
        weights.pop(key, None)
    return others


def _account(weights: dict[str, Tensor], own: Mapping[str, Tensor], family: Family) -> list[str]:
    """Matches the two sets of tensors; returns the keys that the backbone has no use for."""
    layout = family.layout
    blocks = layout.blocks(own)
    theirs = layout.blocks(weights)[: len(blocks)]  # before it is given counters for all of ours
    counters = [key for key in own if key.endswith('num_batches_tracked') and key not in weights]
    weights.update({key: own[key].clone() for key in counters})  # files from before torch 0.4.1 have none
    missing = [key for key in own if key not in weights]
    misshapen = [key for key in own if key in weights and weights[key].shape != own[key].shape]
    stages = {match['stage'] for key in own if (match := re.match(layout.network, key))}
    surplus, left = [], []
    for key in weights:
        if key not in own:
            match = re.match(layout.network, key)
            (surplus if match and match['stage'] in stages | {None} else left).append(key)
    if not (missing or misshapen or surplus):
        return left
    parts = [f'taken for the family {family.name}']
    if theirs != blocks:
        parts.append(f'it has {theirs} blocks in its stages, the config {blocks}: is it of another depth?')
    if gate := next((key for key in misshapen if key.endswith('se.fc1.weight')), None):
        parts.append(_other_reduction(weights[gate], own[gate]))
    if any(map(_BIAS.fullmatch, surplus)) and not any(map(_BIAS.fullmatch, own)):
        parts.append('its gates have biases: set se_bias=True')
    if missing:
        parts.append(f'{len(missing)} tensors are missing: {listed(missing)}')
    if misshapen:
        shapes = [f'{key} {tuple(weights[key].shape)} for {tuple(own[key].shape)}' for key in misshapen]
        parts.append(f'{len(misshapen)} have another shape: {listed(shapes)}')
    if surplus:
        parts.append(f'{len(surplus)} have no place in the backbone: {listed(surplus)}')
    raise SeMmError('; '.join(parts))


def _other_reduction(theirs: Tensor, ours: Tensor) -> str:
    if theirs.ndim != 4 or theirs.size(1) != ours.size(1):
        return 'its SE layers are of another width'
    channels = ours.size(1)
    return (
        f'its SE layers reduce {channels} channels to {theirs.size(0)}, those of the config to {ours.size(0)}: '
        f'set reduction={channels / theirs.size(0):g}, or see whether its widths are rounded in another way'
    )


def _check_values(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    kinds = [
        f'{key} ({weights[key].dtype})'
        for key, value in own.items()
        if value.is_floating_point() and not (weights[key].is_floating_point() and weights[key].layout == torch.strided)
    ]
    if kinds:
        raise SeMmError(f'{len(kinds)} tensors are not of floating point: {listed(kinds)}')
    if any(weights[key].is_meta for key in own):
        return  # shapes without values
    damaged = [key for key, value in own.items() if value.is_floating_point() and not weights[key].isfinite().all()]
    if damaged:
        raise SeMmError(f'{len(damaged)} tensors hold NaN or infinity: {listed(damaged)}')
    negative = [key for key in own if key.endswith('running_var') and (weights[key] < 0).any()]
    if negative:
        raise SeMmError(f'{len(negative)} variances are negative: {listed(negative)}')


def _modules(keys: Iterable[str]) -> list[str]:
    """The modules or top-level names that keys belong to, in order, each once."""
    return list(dict.fromkeys(key.rpartition('.')[0] or key for key in keys))
