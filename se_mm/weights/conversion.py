"""Writing weights under the names of another family."""

from __future__ import annotations

import io
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ..compat.metadata import set_metadata
from ..errors import SeMmError, listed
from ..utils.atomic import write_atomic
from .families import CAFFE, CAFFE_DEEP, MMPRETRAIN, PLAIN, STANDARD_ATTENTION, TIMM, TIMM_DEEP, Family, family_of
from .files import read_checkpoint
from .loading import ATTENTION, EXCITATION, in_our_form, stated_variant
from .state_dicts import count_idle_pooling, find_root, unwrap

TARGETS = ('timm', 'mmpretrain', 'mmdet', 'se_mm')
#: The attention layers of timm's ResNets.
IN_TIMM = (STANDARD_ATTENTION['attention'], "CBAM(order='mean_max')", 'ECALayer', 'ESELayer', 'GlobalContext')
#: The keys of those.
_ATTENTION_OF_TIMM = re.compile(
    r'.*\.se\.(fc[12]?|conv|channel\.fc[12]|spatial\.conv\.(conv|bn)|conv_attn|mlp_scale\.(fc[12]|norm))\.\w+'
)
#: The keys of a ResNet, without attention, and of its classifier.
_RESNET = (
    r'((conv1|stem\.[036]|layer\d+\.\d+\.(conv[123]|downsample\.[01]))\.weight'
    r'|(bn1|stem\.[147]|layer\d+\.\d+\.(bn[123]|downsample\.[12]))'
    r'\.(weight|bias|running_mean|running_var|num_batches_tracked)|fc\.(weight|bias))'
)
_GROUP_NORMS = r'|(gn1|layer\d+\.\d+\.gn[123])\.(weight|bias)'
_DEFORMABLE = r'|layer\d+\.\d+\.conv2\.conv_offset\.(weight|bias)'
_RESNETS = {
    'timm': re.compile(_RESNET),
    'mmpretrain': re.compile(_RESNET + _GROUP_NORMS),
    'mmdet': re.compile(_RESNET + _GROUP_NORMS + _DEFORMABLE),
}
#: The classifier's linear layer, in all families.
HEADS = ('fc', CAFFE.head, MMPRETRAIN.head)


def convert(source: Path, target: Path, to: str) -> str:
    """Rewrites a checkpoint's backbone and classifier under the names of another family.

    ``timm`` writes a raw state dict, with the names of its ``legacy_se*`` networks for the style of Caffe;
    ``mmpretrain`` a classifier (``backbone.``, ``head.fc.``); ``mmdet``, where SE is the plugin ``se_mm.SELayer`` at
    ``after_conv3``, and ``se_mm`` the bare backbone with the classifier as ``fc.``, which loading leaves out, ``se_mm``
    every tensor of it. Values are copied, so every way there and back is exact.

    Args:
        source: any checkpoint of :mod:`se_mm.weights.families`.
        target: .pth, or .safetensors; written aside and renamed.
        to: one of ``TARGETS``.

    Returns:
        A line that says what was written and what was left.

    Raises:
        SeMmError: if the source holds no residual network, or the target's family has none like it.
    """
    if to not in TARGETS:
        raise SeMmError(f'--to must be one of {", ".join(TARGETS)}, got {to}')
    if source.resolve() == target.resolve():
        raise SeMmError(f'{target} is the file that is read; write to another one')
    weights, family, variant, left = _read_ours(source, whole=to == 'se_mm')
    if to != 'se_mm':
        _check_it_is_a_resnet(to, weights)
    names = _target_family(to, weights, variant)
    if names is MMPRETRAIN:
        weights = count_idle_pooling(weights, counted=False)
    renamed = OrderedDict(
        (f'{names.head}{key[2:]}' if key.startswith('fc.') else f'{names.prefix}{names.to_theirs(key)}', value)
        for key, value in weights.items()
    )
    _write(target, renamed, variant, raw=to == 'timm')
    kept = f'; left: {", ".join(left)}' if left else ''
    return f'{target}: {len(renamed)} tensors of the family {family.name}, under the names of {names.name}{kept}'


def _read_ours(source: Path, whole: bool) -> tuple[dict[str, Tensor], Family, dict[str, str], list[str]]:
    """A checkpoint in our names, the classifier as ``fc``; its family; what is known of it; the modules left out."""
    state_dict, _ = unwrap(read_checkpoint(source))
    root = find_root(state_dict)
    if root is None:
        raise SeMmError(f'{source} holds no residual network: no key ends with {CAFFE.landmark}')
    backbone = {key[len(root) :]: value for key, value in state_dict.items() if key.startswith(root)}
    family = family_of(backbone)
    variant = stated_variant(state_dict, root) or family.known_variant(backbone, str(source))
    weights, beside = {}, {}
    for key, value in in_our_form(backbone, family).items():
        is_kept = (whole and not _is_head(key)) or re.match(family.layout.network, key)  # whole: PreActResNet's norm
        (weights if is_kept else beside)[key] = value
    outer = root.removesuffix('backbone.')
    beside |= {key.removeprefix(outer): value for key, value in state_dict.items() if not key.startswith(root)}
    weights |= {f'fc.{key.rpartition(".")[2]}': value for key, value in beside.items() if _is_head(key)}
    left = dict.fromkeys(key.partition('.')[0] for key in beside if not _is_head(key))
    return weights, family, dict(variant), list(left)


def _is_head(key: str) -> bool:
    return key.rpartition('.')[0] in HEADS


def _check_it_is_a_resnet(to: str, weights: Mapping[str, Tensor]) -> None:
    """Refuses the tensors of other residual networks that have no place in the target's ResNet."""
    attention = _ATTENTION_OF_TIMM if to == 'timm' else EXCITATION
    others = [key for key in weights if not (attention if ATTENTION.match(key) else _RESNETS[to]).fullmatch(key)]
    if 'conv1.weight' in weights and weights['conv1.weight'].shape[2:] != (7, 7):
        others.append('conv1.weight, whose kernel is not 7x7')
    if others:
        kind = 'for this attention' if any(map(ATTENTION.match, others)) else 'in its ResNet for these'
        raise SeMmError(f'{to} has no place {kind} ({listed(others)}); use --to se_mm')
    with_se = {key.partition('.se.')[0] for key in weights if ATTENTION.match(key)}
    units = dict.fromkeys(match['unit'][:-1] for key in weights if (match := re.match(PLAIN.layout.unit, key)))
    for unit in units:
        mixed = any(to != 'mmdet' or other.partition('.')[0] == unit.partition('.')[0] for other in with_se)
        if unit not in with_se and mixed:  # a plugin of mmdet's can leave out whole stages
            raise SeMmError(f'{to} has no network with attention in some units and not in {unit}; use --to se_mm')


def _target_family(to: str, weights: Mapping[str, Tensor], variant: Mapping[str, str]) -> Family:
    """The target's naming of this network; an ``SeMmError`` where the target has no such network."""
    has_se = any(ATTENTION.match(key) for key in weights)
    known = {'attention': IN_TIMM if to == 'timm' else (STANDARD_ATTENTION['attention'],)}
    known['attention_position'] = (STANDARD_ATTENTION['attention_position'],)
    odd = {name: variant[name] for name in known if name in variant and variant[name] not in known[name]}
    if odd and to != 'se_mm':
        raise SeMmError(f'{to} has no network with {odd}, which these weights need; use --to se_mm')
    if PLAIN.layout.grouped not in weights:
        raise SeMmError(f'the network is not whole: {PLAIN.layout.grouped} is missing')
    if to == 'se_mm':
        return TIMM if has_se else PLAIN
    shortcut = weights.get('layer2.0.downsample.0.weight')
    if to != 'timm' and shortcut is not None and shortcut.ndim == 4 and shortcut.size(-1) > 1:
        raise SeMmError(
            f'{to} has no network with 3x3 convolutions in its shortcuts (SENet-154), which these weights need; '
            'use --to timm or --to se_mm'
        )
    style = variant.get('style', 'pytorch') if PLAIN.layout.bottleneck in weights else None
    deep = 'stem.0.weight' in weights
    if variant.get('stem_pool') == 'caffe':
        if to != 'timm' or not has_se:
            raise SeMmError(
                f'{to} has no network with the stem pooling of Caffe, which these weights need; use --to se_mm'
            )
        if style not in (None, CAFFE.known_variant(weights).get('style')):
            raise SeMmError(f"timm has no SE network with style='{style}' and the stem pooling of Caffe")
        return CAFFE_DEEP if deep else CAFFE
    if to == 'mmpretrain':
        return MMPRETRAIN
    if to == 'timm' and style == 'caffe':
        raise SeMmError("timm has no such network with style='caffe', which these weights need; use --to mmdet")
    if to == 'timm' and deep:
        return TIMM_DEEP
    return TIMM if has_se else PLAIN


def _write(target: Path, state_dict: OrderedDict[str, Tensor], variant: dict[str, str], raw: bool) -> None:
    if target.suffix == '.safetensors':
        content = save({key: value.contiguous() for key, value in state_dict.items()}, metadata=variant or None)
    else:
        set_metadata(state_dict, {'': {'se_mm': variant}} if variant else {})
        buffer = io.BytesIO()
        torch.save(state_dict if raw else {'state_dict': state_dict, 'meta': {}}, buffer)
        content = buffer.getvalue()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, content)
    except OSError as error:
        raise SeMmError(f'{target} cannot be written: {error}') from error
