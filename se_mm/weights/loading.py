"""Turning a foreign state dict into the backbone's own, completely or not at all."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from ..errors import SeMmError, listed
from .families import MMPRETRAIN, OTHER_GRAPHS, SE_MM, TIMM, Family, family_of, style_of_file
from .files import Source, source_of
from .state_dicts import find_root, unwrap, with_idle_pooling, without_idle_pooling

if TYPE_CHECKING:
    from ..models.hosts.attention_host import AttentionHost

#: Keys of the residual network itself, in our names; the number of its stage is a group.
NETWORK = re.compile(r'(?:conv1|bn1|gn1|stem|maxpool|layer(\d+))\.')

_GATE = re.compile(r'(layer\d+\.\d+\.se\.)fc([12])\.(weight|bias)')

#: What deformable and switchable convolutions and the recursive pyramid of DetectoRS add to a published classifier.
_ADDED = re.compile(r'\.(conv_offset|rfp_conv|switch|pre_context|post_context|offset_[sl])\.|\.weight_diff$')
#: What mmcv's ConvAWS computes from its weights where a checkpoint lacks it.
_DERIVED = ('.weight_gamma', '.weight_beta')


def adapt(
    backbone: AttentionHost, state_dict: MutableMapping[str, Any], prefix: str, metadata: Mapping[str, Any]
) -> None:
    """Rewrites what a load-state-dict hook was given into exactly the tensors of the backbone.

    Args:
        backbone: it is read only.
        state_dict: of any family in :mod:`se_mm.weights.families`, in any wrapping of
            :mod:`se_mm.weights.state_dicts`. In place: afterwards it holds the backbone's
            tensors under ``prefix``, and nothing else that starts so.
        prefix: where the backbone stands in the module that is loaded.
        metadata: of the backbone, from the state dict.

    Raises:
        SeMmError: if one tensor of the backbone is missing, misshapen or damaged, if the
            checkpoint holds tensors of the network that the backbone has no place for, or
            if its style or stem pooling is known and differs from the backbone's.
    """
    name = type(backbone).__name__
    source = source_of(state_dict)
    try:
        weights, facts, elsewhere, where = _locate(state_dict, prefix, metadata, source)
        family = family_of(weights)
        if facts and family is TIMM:
            family = SE_MM  # the same names; what it says of itself is known
        _check_style(backbone, family, facts, weights, source)
        own = dict(backbone.state_dict())
        weights = _in_hosts_form(in_our_form(weights, family), own)
        own = {key: value for key, value in own.items() if key in weights or not key.endswith(_DERIVED)}
        gates_are_plain = not any(_GATE.fullmatch(key) for key in weights)
        if gates_are_plain:
            weights |= backbone.identity_state(weights)
        else:
            _add_zero_biases(weights, own)
        added = _keep_what_the_config_adds(backbone, weights, own)
        left = _account(backbone, weights, own, family)
        _check_values(weights, own)
    except SeMmError as error:
        raise SeMmError(f'{name} takes nothing from {source or "the given weights"}: {error}') from None

    for key in [key for key in state_dict if key.startswith(prefix)]:
        del state_dict[key]
    state_dict.update({f'{prefix}{key}': weights[key] for key in own})

    log = [f'{name}: {len(own) - len(added)} tensors from {source or "the given weights"}', f'family: {family.name}']
    if where:
        log.append(f'found under {where}')
    if gates_are_plain and (count := sum(1 for _ in backbone.attention_sites())):
        log.append(f"the {count} gates start as se_init='identity' does: the network equals the plain one")
    if added:
        log.append(f'keep their initial values: {listed(added)}')
    log.append(f'left: {listed([*left, *_modules(elsewhere)]) or "nothing"}')
    print_log('; '.join(log), logger='current', level=logging.INFO)


def _locate(
    state_dict: Mapping[str, Any], prefix: str, metadata: Mapping[str, Any], source: Source | None
) -> tuple[dict[str, Tensor], Mapping[str, str], list[str], str]:
    """The tensors of the residual network, what the file says of itself, the keys beside it, and where it stood."""
    weights, wrapper = (state_dict, '') if prefix else unwrap(state_dict)
    root = find_root(weights, prefix)
    if root is None:
        beginnings = listed(sorted({key.split('.')[0] for key in weights if key.startswith(prefix)}))
        place = f' under {prefix!r}' if prefix else ''
        raise SeMmError(
            f'there is no residual network{place} (no key ...layer1.0.conv1.weight); it has '
            f'{beginnings or "no keys there"}. Weights of a classifier or a bare backbone belong in the '
            "backbone's init_cfg=dict(type='Pretrained', checkpoint=...)"
        )
    inside = {key[len(root) :]: value for key, value in weights.items() if key.startswith(root)}
    not_tensors = [key for key, value in inside.items() if not isinstance(value, Tensor) and NETWORK.match(key)]
    if not_tensors:
        raise SeMmError(f'these are no tensors: {listed(not_tensors)}')
    elsewhere = [key for key in weights if key.startswith(prefix) and not key.startswith(root)]
    stated = metadata.get('se_mm') or facts_in_file(source, root.removesuffix('.'))
    where = '.'.join(part for part in (wrapper, root.removeprefix(prefix).removesuffix('.')) if part)
    return {key: value for key, value in inside.items() if isinstance(value, Tensor)}, stated, elsewhere, where


def _check_style(
    backbone: AttentionHost,
    family: Family,
    facts: Mapping[str, str],
    weights: Mapping[str, Tensor],
    source: Source | None,
) -> None:
    other = OTHER_GRAPHS.search(source.name) if source else None
    if other:
        raise SeMmError(f'by its name it is of another network ({other[0]}), with the same tensors and another graph')
    if family.bottlenecks_only and 'layer1.0.conv3.weight' not in weights:
        raise SeMmError(f'the family {family.name} with basic blocks (18 and 34 layers) has {family.bottlenecks_only}')
    style, stem_pool = known_style(family, facts, weights, source.name if source else '')
    fixes = []
    if style and style != backbone.style:
        fixes.append(f"style='{style}' (the config has '{backbone.style}': the stride is in another convolution)")
    if stem_pool and stem_pool != backbone.stem_pool:
        fixes.append(f"stem_pool='{stem_pool}' (the config has '{backbone.stem_pool}': the stem pools another window)")
    if fixes:
        raise SeMmError(f'the weights are of the family {family.name} and need {" and ".join(fixes)} in the backbone')


def facts_in_file(source: Source | None, module: str) -> Mapping[str, str]:
    """What ``AttentionHost`` saved of itself, for a state dict that lost its metadata on the way from the file."""
    facts = {name: data['se_mm'] for name, data in (source.metadata if source else {}).items() if 'se_mm' in data}
    if module in facts:
        return facts[module]
    return next(iter(facts.values())) if len(facts) == 1 else {}


def known_style(
    family: Family, facts: Mapping[str, str], weights: Mapping[str, Tensor], file: str = ''
) -> tuple[str | None, str | None]:
    """The style and the stem pooling that weights were trained with, each ``None`` where nothing tells."""
    if facts:
        style, stem_pool = facts.get('style'), facts.get('stem_pool')
    else:
        conv2 = weights.get('layer1.0.conv2.weight')
        grouped = conv2 is not None and conv2.ndim == 4 and conv2.size(0) != conv2.size(1)
        style = family.grouped_style if grouped else family.style
        style, stem_pool = style or style_of_file(file), family.stem_pool
    if 'layer1.0.conv3.weight' not in weights:
        style = None  # a basic block has one place for its stride
    return style, stem_pool


def in_our_form(weights: Mapping[str, Tensor], family: Family) -> dict[str, Tensor]:
    """A network under our names, the linear layers of its gates as 1x1 convolutions."""
    ours = with_idle_pooling({family.to_ours(key): value for key, value in weights.items()})
    return {
        key: value[:, :, None, None] if _GATE.fullmatch(key) and key.endswith('weight') and value.ndim == 2 else value
        for key, value in ours.items()
    }


def _in_hosts_form(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """mmpretrain's hosts name a deep stem in a way of their own, and count no pooling that does nothing."""
    if 'stem.0.conv.weight' in own:
        weights = {MMPRETRAIN.to_theirs(key) if key.startswith('stem.') else key: weights[key] for key in weights}
    return weights if 'layer1.0.downsample.2.weight' in own else without_idle_pooling(weights)


def _add_zero_biases(weights: dict[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """A gate without biases is one whose biases are zero."""
    if any(_GATE.fullmatch(key) and key.endswith('bias') for key in weights):
        return
    weights.update(
        {key: torch.zeros_like(value) for key, value in own.items() if _GATE.fullmatch(key) and key.endswith('bias')}
    )


def _keep_what_the_config_adds(
    backbone: AttentionHost, weights: dict[str, Tensor], own: Mapping[str, Tensor]
) -> list[str]:
    """Plugins and what else no published classifier has, as they are."""
    plugins = tuple(backbone.plugin_names())
    added = [key for key in own if _ADDED.search(key) or (plugins and key.startswith(plugins))]
    if any(key in weights for key in added):
        return []  # a detector that had them must have them all
    weights.update({key: own[key].clone() for key in added})
    return added


def _account(
    backbone: AttentionHost, weights: dict[str, Tensor], own: Mapping[str, Tensor], family: Family
) -> list[str]:
    """Matches the two sets of tensors; returns the keys that the backbone has no use for."""
    counters = [key for key in own if key.endswith('num_batches_tracked') and key not in weights]
    weights.update({key: own[key].clone() for key in counters})  # files from before torch 0.4.1 have none
    missing = [key for key in own if key not in weights]
    misshapen = [key for key in own if key in weights and weights[key].shape != own[key].shape]
    surplus, left = [], []
    for key in weights:
        if key not in own:
            match = NETWORK.match(key)
            absent_stage = match and match[1] and int(match[1]) > backbone.num_stages
            (surplus if match and not absent_stage else left).append(key)
    if not (missing or misshapen or surplus):
        return _modules(left)
    mismatch = _mismatch(backbone, weights, own, missing, misshapen, surplus)
    raise SeMmError('; '.join([f'taken for the family {family.name}', *mismatch]))


def _mismatch(
    backbone: AttentionHost,
    weights: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    missing: list[str],
    misshapen: list[str],
    surplus: list[str],
) -> list[str]:
    parts = []
    blocks = [_blocks_a_stage(keys)[: backbone.num_stages] for keys in (weights, own)]
    if blocks[0] != blocks[1]:
        parts.append(f'it has {blocks[0]} units in its stages, the config {blocks[1]}: is it of another depth?')
    gates = [key for key in misshapen if key.endswith('se.fc1.weight')]
    if gates:
        parts.append(_other_reduction(backbone, gates[0], weights[gates[0]], own[gates[0]]))
    biases = [key for key in surplus if _GATE.fullmatch(key) and key.endswith('bias')]
    if biases:
        parts.append('its gates have biases: set se_bias=True')
    if missing:
        parts.append(f'{len(missing)} tensors are missing: {listed(missing)}')
    if misshapen:
        shapes = [f'{key} {tuple(weights[key].shape)} for {tuple(own[key].shape)}' for key in misshapen]
        parts.append(f'{len(misshapen)} have another shape: {listed(shapes)}')
    if surplus:
        parts.append(f'{len(surplus)} have no place in the backbone: {listed(surplus)}')
    return parts


def _other_reduction(backbone: AttentionHost, key: str, theirs: Tensor, ours: Tensor) -> str:
    if theirs.ndim != 4 or theirs.shape[1] != ours.shape[1]:
        return 'its gates are of another width'
    channels, reduction = ours.size(1), backbone.get_submodule(key.removesuffix('.fc1.weight')).reduction
    their_reduction = channels / theirs.size(0)
    if theirs.size(0) == channels // reduction:
        fix = f'{theirs.size(0)} channels for {ours.size(0)}, not rounded to a multiple of 8 as timm and mmpretrain do'
    else:
        fix = f'set reduction={their_reduction:g}'
    return f'its gates reduce {channels} channels by {their_reduction:g}, the config has reduction={reduction}: {fix}'


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


def _blocks_a_stage(keys: Iterable[str]) -> tuple[int, ...]:
    found = (re.fullmatch(r'layer(\d+)\.\d+\.conv1\.weight', key) for key in keys)
    blocks = Counter(int(match[1]) for match in found if match)
    return tuple(blocks[stage] for stage in sorted(blocks))


def _modules(keys: Iterable[str]) -> list[str]:
    """The modules or top-level names that keys belong to, in order, each once."""
    return list(dict.fromkeys(key.rpartition('.')[0] or key for key in keys))
