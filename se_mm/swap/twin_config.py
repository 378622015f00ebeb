"""From a config to its SE twin: what changes, and why."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from ..config.tree import dotted, nodes, value_at
from ..errors import SeMmError
from ..models.hosts.adapters import find_adapter
from ..models.hosts.attention_arguments import LISTS, attention_config, build_attention, has_constant_gate
from ..models.hosts.sites import Site
from ..weights.published import initialisations, is_pretrained
from . import se_weights
from .building import check_it_builds
from .changes import Change, Swap, apply
from .hosts import PARTS, Host, find_hosts, scope_of

#: Types of our own for hosts that are met most; the others are named by ``se_mm.SETwin``.
_OWN_TYPES = {'mmdet.ResNet': 'se_mm.SEResNet', 'mmdet.ResNeXt': 'se_mm.SEResNeXt'}


def swap_backbone(
    cfg: Config,
    *,
    reduction: int | Sequence[int] = 16,
    se_stages: Sequence[int] | None = None,
    se_bias: bool = True,
    se_init: str | None = None,
    weights: str | None = None,
    attention: Mapping[str, Any] | str | None = None,
    parts: Sequence[str] = ('backbone',),
    replace_native: bool = False,
) -> Config:
    """The SE twin of a config: the same, with SE in the networks of its model.

    Where the config names ImageNet weights, the twin names the published SE weights of the same depth, cardinality
    and style, with the pixel means that they expect; where there are none it keeps the plain weights and starts equal
    to the plain network. Teachers and networks that already have SE are left alone. What was chosen is logged.

    Args:
        cfg: it is not changed.
        reduction: r, one or one for each stage.
        se_stages: the stages with SE, from 0; ``None``: all.
        se_bias: whether the layers of the excitation have biases.
        se_init: ``None``: ``'identity'`` where plain weights are loaded.
        weights: a checkpoint to start from in place of the above; ``'none'``: random weights; ``'keep'``: the plain
            ones.
        attention: another layer than SE, ``dict(type='se_mm.ECALayer')``, blended in (``start='blend'``) where it
            should start equal to the plain network and cannot.
        parts: ``'backbone'``, ``'neck'`` or both.
        replace_native: whether it takes the place of attention that a network has by itself, which is left alone
            otherwise.

    Raises:
        SeMmError: if there is no such network in the model that has a place for attention, or its twin cannot be built.

    Example:
        >>> from se_mm.config.load import load_config
        >>> twin = swap_backbone(load_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'))
        >>> twin.model.backbone.type, twin.model.backbone.init_cfg.checkpoint
        ('se_mm.SEResNet', 'timm://seresnet50.ra2_in1k')
    """
    swap = plan_swap(
        cfg,
        reduction=reduction,
        se_stages=se_stages,
        se_bias=se_bias,
        se_init=se_init,
        weights=weights,
        attention=attention,
        parts=parts,
        replace_native=replace_native,
    )
    for line in swap.notes:
        print_log(f'SE twin: {line}', logger='current', level=logging.INFO)
    return apply(swap, cfg)


def plan_swap(
    cfg: Config,
    *,
    weights: str | None = None,
    attention: Any = None,
    parts: Sequence[str] = ('backbone',),
    replace_native: bool = False,
    **se: Any,
) -> Swap:
    """What :func:`swap_backbone` will do; it takes the same arguments and raises the same errors."""
    swap = Swap()
    if not parts or set(parts) - set(PARTS):
        raise SeMmError(f'attention can be put into {" and ".join(PARTS)}, got {"+".join(parts)!r}')
    if attention is not None:
        se['attention'] = attention_config(attention)
    for host in find_hosts(cfg, parts):
        if host.has_se:
            swap.notes.append(f'{host.name} ({host.cls.__name__}) already has SE and is left alone')
        elif host.is_teacher:
            swap.notes.append(f'{host.name} is a teacher, which its checkpoint gives, and is left alone')
        else:
            _plan_host(swap, cfg, host, weights, _arguments_for(host, se) | {'replace_native': replace_native})
    if not swap.changes:
        return swap
    _plan_imports(swap, cfg)
    twin = apply(swap, cfg)
    for change in swap.changes:
        if change.keys[-1] == 'type':
            check_it_builds(twin, change.keys[:-1], scope_of(cfg))
    return swap


def _plan_host(swap: Swap, cfg: Config, host: Host, weights: str | None, se: dict[str, Any]) -> None:
    kind, native, total = host.native(scope_of(cfg)) if find_adapter(host.cls).exact else ('', 0, 0)
    has = f'{host.name} ({host.cls.__name__}) has attention of its own ({kind}) at {native} of {total} sites'
    if native and not se['replace_native']:
        way_out = 'replace_native=True, or --replace-native, puts another layer there'
        swap.notes.append(f'{has}, and {"is left alone" if native == total else "keeps it"}; {way_out}')
        if native == total:
            return
    own = _OWN_TYPES.get(host.type)
    layer = (se.get('attention') or {}).get('type', 'SE')
    changed = {'type': (own or 'se_mm.SETwin', f'{host.type} with {layer} at its insertion sites')}
    if own is None:
        changed['host'] = (host.type, '')
    for name, usual in (('attention', None), ('reduction', 16), ('se_stages', None), ('se_bias', True)):
        if se.get(name, usual) != usual:
            changed[name] = (se[name], '')

    if native and se['replace_native']:
        changed['native_blocks'] = ([], f'in place of its own attention ({kind})')
        swap.notes.append(f'{has}, which is replaced: the network does not start equal to the plain one')
    arguments = {**host.config, **{name: value for name, (value, _) in changed.items()}}
    start, reason = _choose_weights(cfg, host, arguments, weights)
    named = _pretrained_in(host.config)
    if native and se['replace_native'] and start == named:
        reason = f'{start or "random weights"}, but for its own attention'
    if start != named:
        key = 'pretrained' if isinstance(host.config.get('pretrained'), str) else 'init_cfg'
        changed[key] = (start if key == 'pretrained' else _initialisation(host, start), reason)
    if start in se_weights.KNOWN and len(find_adapter(host.cls).stem_pools) > 1:
        pool = 'caffe' if start.startswith('timm://legacy_') else 'torch'  # the authors' own are Caffe's
        if pool != arguments.get('stem_pool', 'torch'):
            changed['stem_pool'] = (pool, 'the pooling that these weights were trained with')
    se_init = se.get('se_init') or ('identity' if start is not None and start == named else None)
    if se_init:
        changed['se_init'] = (se_init, reason if start == named else '')
    attention = se.get('attention')
    if (se_init == 'identity' or _loaded_whole(cfg, host)) and attention and not has_identity_start(attention):
        why = f'{attention["type"]} has no start equal to the plain network, so it is blended in from nothing'
        changed['attention'] = ({**attention, 'start': 'blend'}, why)
        swap.notes.append(f"{host.name}: {why} (start='blend')")

    with_layer = f' with {layer}' if attention else ''
    swap.notes.append(f'{host.name}: {host.type} -> {own or "SETwin"}{with_layer}; {reason}')
    swap.changes += [Change((*host.keys, name), value, why) for name, (value, why) in changed.items()]
    pixels = se_weights.pixel_changes(cfg, host) if start in se_weights.KNOWN else []
    if pixels := [change for change in pixels if change not in swap.changes]:
        where = ' and '.join(dict.fromkeys(dotted(change.keys[:-1]) for change in pixels))
        swap.notes.append(f'{where}: RGB with mean {se_weights.MEAN} and std {se_weights.STD}, as these weights expect')
    swap.changes += pixels


def _arguments_for(host: Host, se: dict[str, Any]) -> dict[str, Any]:
    """The arguments for a host; a ``shared_head`` is one stage of the backbone, the last one by default."""
    if host.part != 'shared_head':
        return dict(se)
    stage, reduction, stages = host.config.get('stage', 3), se.get('reduction', 16), se.get('se_stages')
    of_stage = {'reduction': reduction[min(stage, len(reduction) - 1)]} if _is_list(reduction) else {}
    return se | of_stage | ({} if stages is None else {'se_stages': (0,) if stage in stages else ()})


def _pretrained_in(config: Mapping[str, Any]) -> str | None:
    """The checkpoint that a module is told to load."""
    if isinstance(config.get('pretrained'), str):
        return config['pretrained']
    entries = initialisations(config.get('init_cfg'))
    return next((entry.get('checkpoint') for entry in entries if is_pretrained(entry)), None)


def _initialisation(host: Host, start: str | None) -> Any:
    """The ``init_cfg`` that loads other weights, or none, and does what else it did."""
    entries = [dict(entry) for entry in initialisations(host.config.get('init_cfg')) if not is_pretrained(entry)]
    pretrained = [] if start is None else [dict(type='Pretrained', checkpoint=start)]
    return [*entries, *pretrained] if entries else next(iter(pretrained), None)


def _loaded_whole(cfg: Config, host: Host) -> str | None:
    """The checkpoint that the whole model, or a module around the host, is loaded from."""
    around = (value_at(cfg, host.keys[:i]) for i in range(1, len(host.keys)))
    found = (_pretrained_in(node) for node in around if isinstance(node, Mapping))
    return cfg.get('load_from') or next(filter(None, found), None)


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
            layer = build_attention(config, Site('', nn.Identity(), stage, block, channels=512), num_stages)
            if not has_constant_gate(layer):
                return False
    return True


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _choose_weights(
    cfg: Config, host: Host, arguments: Mapping[str, Any], weights: str | None
) -> tuple[str | None, str]:
    """The checkpoint that the twin starts from, and why."""
    named = _pretrained_in(host.config)
    if weights not in (None, 'keep') and host.part != 'neck':
        return (None, 'random weights, as asked') if weights == 'none' else (weights, f'weights {weights}, as asked')
    if whole := _loaded_whole(cfg, host):
        return named, f'equal to the plain network at first, since the model is loaded from {whole}'
    if named is None:
        return None, 'random weights, as in the original'
    found = se_weights.se_weights_for(host.cls, arguments, named)
    if weights == 'keep':
        why = 'these weights are kept, as asked'
    elif not se_weights.IMAGENET.match(named):
        why = 'they were chosen for this config'
    elif found is None:
        why = 'no SE weights of its depth, groups and style are published'
    elif not se_weights.preprocessors_of(cfg, host):
        why = 'SE weights may need other pixel means, and the config has none to change'
    elif se_weights.pixel_changes(cfg, host) and _has_teacher(cfg):
        why = 'SE weights need other pixel means, and the teacher the ones that are'
    else:
        before, after = se_weights.recipe_of(named), se_weights.recipe_of(found)
        change = '' if before == after else f' (WARNING: another training recipe: {after} in place of {before})'
        return found, f'weights {found} in place of {named}{change}'
    return named, f'equal to the plain {named or "weights"} at first ({why})'


def _has_teacher(cfg: Config) -> bool:
    return any(str(key).startswith('teacher') for _, node in nodes(cfg.model) for key in node)


def _plan_imports(swap: Swap, cfg: Config) -> None:
    imports = cfg.get('custom_imports') or {}
    modules = imports.get('imports') or []
    modules = [modules] if isinstance(modules, str) else list(modules)
    if 'se_mm' not in modules:
        value = {'allow_failed_imports': False, **imports, 'imports': ['se_mm', *modules]}
        swap.changes.insert(0, Change(('custom_imports',), value, 'lets any tool resolve the se_mm names'))
