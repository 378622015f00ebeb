"""``--classes``: the names of the classes in a config's data sets, and their number in its heads."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mmengine.config import Config

from ..errors import SeMmError, listed
from ..utils.palette import palette
from ..utils.type_names import type_name
from ..weights.files import read_checkpoint
from .coco_layout import read_coco
from .loaders import datasets_in
from .scene_layout import class_folders
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
            _set_number(node, len(classes), speaks='language_model' in cfg.model)
        elif 'num_things_classes' in node:
            node['num_things_classes'] = len(classes)


def _set_number(node: MutableMapping[str, Any], count: int, speaks: bool) -> None:
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


def use_classes_of(cfg: Config, checkpoint: str) -> list[str]:
    """Gives a config the classes that a model was trained with, where it has other ones.

    Args:
        cfg: changed in place.
        checkpoint: a file that a training wrote; one without the names of its classes is passed over.

    Returns:
        What the user should know.
    """
    if '://' in checkpoint:
        return []
    try:
        meta = read_checkpoint(checkpoint).get('meta')
    except SeMmError:  # said where it is loaded
        return []
    names = ((meta if isinstance(meta, dict) else {}).get('dataset_meta') or {}).get('classes') or ()
    return use_classes(cfg, names, checkpoint)


def use_classes(cfg: Config, names: Sequence[str], source: str) -> list[str]:
    """The same with names that are known already.

    Args:
        cfg: changed in place.
        names: the classes.
        source: the file that they come from.
    """
    counts = {
        node['num_classes']
        for keys, node in nodes(cfg.model)
        if 'num_classes' in node and not any(key in _OTHER_COUNTS for key in keys)
    }
    given = [(dataset.get('metainfo') or {}).get('classes') for _, dataset in datasets_in(cfg)]
    other = len(names) not in counts or any(set(classes) != set(names) for classes in given if classes)
    if not names or not other or 'language_model' in cfg.model:
        return []
    set_classes(cfg, names)
    return [f'{len(names)} classes as in {source}: {listed(list(names))}']


def classes_in_data(cfg: Config) -> list[str]:
    """The classes of the training set as its files have them; of the validation set where there is none.

    Returns:
        The categories of a COCO file in its order, the names in VOC's XML, or the folders of a
        classifier's pictures in the order in which mmpretrain numbers them.

    Raises:
        SeMmError: if the data do not say.
    """
    tried = []
    for _, dataset in datasets_in(cfg):
        root = Path(dataset.get('data_root') or '')
        ann_file = root / (dataset.get('ann_file') or '')
        prefix = dataset.get('data_prefix') or ''
        prefix = next(iter(prefix.values()), '') if isinstance(prefix, dict) else prefix
        if ann_file.suffix == '.json' and ann_file.is_file():
            content = read_coco(ann_file)
            if content:
                return [str(category['name']) for category in content['categories']]
        elif type_name(dataset) in ('VOCDataset', 'XMLDataset') and ann_file.is_file():
            return _names_in_xml(cfg, root)
        elif ann_file.suffix == '.txt' and (ann_file.parent / 'classes.txt').is_file():
            return (ann_file.parent / 'classes.txt').read_text().splitlines()
        elif len(folders := class_folders(root / prefix)) > 1 and not dataset.get('ann_file'):
            return list(folders)
        tried.append(str(ann_file if dataset.get('ann_file') else root / prefix))
    where = ', '.join(dict.fromkeys(tried)) or 'a config without data'
    raise SeMmError(f'--classes: {where} does not say what its classes are; name them: --classes cat dog')


def _names_in_xml(cfg: Config, root: Path) -> list[str]:
    names = set()
    for _, dataset in datasets_in(cfg):
        prefix = dataset.get('data_prefix') or {}
        folder = root / prefix.get('sub_data_root', '') / dataset.get('ann_subdir', 'Annotations')
        for file in sorted(folder.glob('*.xml')):
            try:
                names |= {entry.findtext('name', '') for entry in ElementTree.parse(file).getroot().findall('object')}
            except ElementTree.ParseError as error:
                empty = 'is empty (0 bytes)' if not file.stat().st_size else f'is no XML: {error}'
                raise SeMmError(f'{file} {empty}; mend or remove it') from error
    if not names:
        raise SeMmError(f'--classes: no object is named in the XML files below {root}')
    return sorted(names)
