"""``--classes``: the names of the classes in a config's data sets, and their number in its heads."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from ..errors import SeMmError, listed
from ..utils.palette import palette
from ..utils.type_names import type_name
from ..weights.files import read_checkpoint
from .loaders import datasets_in
from .tree import nodes

#: Parts of a model whose ``num_classes`` counts something else.
_OTHER_COUNTS = ('backbone', 'rpn_head', 'semantic_head')
#: Classes of the smallest of mmdet's own palettes (VOC's); with more, its visualizer needs another.
_COLOURS = 20


def set_classes(cfg: Config, classes: Sequence[str]) -> None:
    """Replaces the classes of the data sets, and their number in the heads, losses and metrics.

    Raises:
        SeMmError: for a data set whose classes are fixed.
    """
    classes = tuple(classes)
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice:
        raise SeMmError(f'--classes names {", ".join(twice)} twice')
    for _, dataset in datasets_in(cfg):
        if type_name(dataset) == 'Places365':
            raise SeMmError('--classes: Places365 has classes of its own; use configs/demo/se_resnet18_scenes.py')
        metainfo = {**(dataset.get('metainfo') or {}), 'classes': classes}
        metainfo.pop('palette', None)
        if len(classes) > _COLOURS:
            metainfo['palette'] = palette(len(classes))
        dataset.metainfo = metainfo
    trees = (cfg.model, cfg.get('data_preprocessor'), cfg.get('val_evaluator'), cfg.get('test_evaluator'))
    for keys, node in nodes(trees):
        if not any(key in _OTHER_COUNTS for key in keys):
            set_number(node, len(classes), speaks='language_model' in cfg.model)
        elif 'num_things_classes' in node:
            node['num_things_classes'] = len(classes)


def set_number(node: MutableMapping[str, Any], count: int, speaks: bool = False) -> None:
    """Sets the number of classes that a node of a model or a metric has, in place."""
    if 'num_classes' in node and not speaks:  # one that reads names counts the tokens of its prompt
        node['num_classes'] = count
    if 'num_things_classes' in node:
        node['num_things_classes'] = count
    # One number is a count of something else (the candidates of an assigner), but in mmpretrain's metric.
    if isinstance(node.get('topk'), (list, tuple)):
        node['topk'] = tuple(k for k in node['topk'] if k <= count) or (1,)
    elif 'topk' in node and type_name(node) == 'Accuracy':
        node['topk'] = min(node['topk'], count)
    loss = node.get('loss_cls')
    weights = loss.get('class_weight') if isinstance(loss, dict) else None
    if isinstance(weights, (list, tuple)):  # the last is the background's
        loss['class_weight'] = [weights[0]] * (count + node.get('num_stuff_classes', 0)) + [weights[-1]]


def check_classes_given_once(options: Sequence[str]) -> None:
    """``--classes`` sets what these options would set too.

    Raises:
        SeMmError: if one of the options is a number or the names of classes.
    """
    both = [key for key in options if key.split('.')[-1] in ('num_classes', 'classes')]
    if both:
        raise SeMmError(f'--classes sets {", ".join(both)} already: leave one of them out')


def use_classes_of(cfg: Config, checkpoint: str, asked: bool = False) -> list[str]:
    """Gives a config the classes that a model was trained with, in their order.

    Args:
        cfg: changed in place.
        checkpoint: a file that a training wrote; one without the names of its classes is passed over.
        asked: whether the classes of the config were asked for: others than the model's then stay.

    Returns:
        What the user should know.
    """
    if '://' in checkpoint:
        return []
    try:
        names = classes_in(read_checkpoint(checkpoint, 'meta'))
    except SeMmError:  # said where it is loaded
        return []
    return use_classes(cfg, names, checkpoint, asked)


def classes_in(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes in the metadata of a checkpoint: mmengine's, in either case, or those of mmdet 2.x; empty: none.

    Example:
        >>> classes_in({'meta': {'CLASSES': ['cat', 'dog']}}), classes_in({'conv1.weight': 0})
        (('cat', 'dog'), ())
    """
    meta = content.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    data = meta.get('dataset_meta') or {}
    return tuple(data.get('classes') or data.get('CLASSES') or meta.get('CLASSES') or ())


def classes_of_model(cfg: Config, content: Mapping[str, Any], checkpoint: str) -> tuple[str, ...]:
    """What a trained model calls its classes: its checkpoint's names, else those of the config's data.

    Raises:
        SeMmError: if neither has any.
    """
    datasets = (dataset for _, dataset in datasets_in(cfg))
    known = (_classes_of(dataset, cfg.get('default_scope')) for dataset in datasets)
    if names := classes_in(content) or next(filter(None, known), ()):
        return tuple(names)
    raise SeMmError(f'{checkpoint} and the data of the config have no names of classes; give them: --classes NAME ...')


def use_classes(cfg: Config, names: Sequence[str], source: str, asked: bool = False) -> list[str]:
    """The same with names that are known already.

    Args:
        cfg: changed in place.
        names: the classes.
        source: the file that they come from.
        asked: as in :func:`use_classes_of`.
    """
    counts = {
        node['num_classes']
        for keys, node in nodes(cfg.model)
        if 'num_classes' in node and not any(key in _OTHER_COUNTS for key in keys)
    }
    given = [classes for _, dataset in datasets_in(cfg) if (classes := _classes_of(dataset, cfg.get('default_scope')))]
    if not names or 'language_model' in cfg.model or (asked and any(set(classes) != set(names) for classes in given)):
        return []
    if len(names) in counts and all(tuple(classes) == tuple(names) for classes in given):
        return []
    set_classes(cfg, names)
    return [f'{len(names)} classes as in {source}: {listed(list(names))}']


def _classes_of(dataset: Mapping[str, Any], scope: str | None) -> Sequence[str]:
    """The names of a data set's classes: the config's, else those of its type."""
    if named := (dataset.get('metainfo') or {}).get('classes'):
        return named
    with DATASETS.switch_scope_and_registry(scope) as registry:
        kind = registry.get(dataset['type']) if isinstance(dataset.get('type'), str) else dataset.get('type')
    return (getattr(kind, 'METAINFO', None) or {}).get('classes') or ()
