"""Reading a config and the few changes that every tool makes to it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ..compat.config_scope import locate, read_config
from ..errors import SeMmError
from ..swap import swap_backbone
from .options import merge_options
from .tree import nodes

DATA_ROOT_VARIABLE = 'SE_MM_DATA'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def load_config(
    name: str,
    options: Mapping[str, Any] | None = None,
    data_root: str | None = None,
    classes: Sequence[str] | None = None,
    se: bool = False,
) -> Config:
    """Reads a config and lays the command line over it.

    Args:
        name: a file, or ``package::path`` for one that an installed package ships.
        options: dotted keys and values, as ``--cfg-options`` gives them.
        data_root: the folder that replaces the config's ``data_root``; ``None`` asks the
            environment variable ``SE_MM_DATA``, and keeps the config's where that is unset.
        classes: the names that replace the config's; empty: the folders of the training set;
            ``None``: the config's own.
        se: whether its backbone is replaced by the SE twin (:func:`se_mm.swap.swap_backbone`).

    Returns:
        The config; ``work_dir`` is set.

    Raises:
        SeMmError: if the file is missing, cannot be read as a config, or an option does not fit.

    Example:
        >>> load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').model.backbone.type
        'ResNet'
    """
    path = _locate(name)
    try:
        cfg = read_config(path)
    except Exception as error:  # whatever a config, which is code, may raise
        raise SeMmError(f'{path} cannot be read as a config: {type(error).__name__}: {error}') from error
    if not isinstance(cfg.get('model'), dict):
        raise SeMmError(f'{path} is not a config to run: it has no `model = dict(...)`')
    if options:
        merge_options(cfg, options)
    data_root = data_root or os.environ.get(DATA_ROOT_VARIABLE)
    if data_root:
        set_data_root(cfg, data_root)
    if classes is not None:
        set_classes(cfg, classes or _class_folders(cfg))
    cfg.setdefault('work_dir', f'work_dirs/{Path(path).stem}{"_se" if se else ""}')
    return swap_backbone(cfg) if se else cfg


def _locate(name: str) -> str:
    path = name
    if '::' in name:
        try:
            path = locate(name)
        except Exception as error:
            raise SeMmError(f'config {name} cannot be found: {error}') from error
    if not Path(path).is_file():
        raise SeMmError(f'config {name} does not exist (looked in {Path(path).absolute()})')
    return path


def datasets_of(loader: Mapping[str, Any]) -> Iterator[ConfigDict]:
    """The data sets of a loader that read files, inside whatever wraps them (repeat, concatenate, mix).

    Example:
        >>> loader = ConfigDict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(type='CocoDataset')))
        >>> [dataset.type for dataset in datasets_of(loader)]
        ['CocoDataset']
    """
    inner = loader.get('dataset', loader.get('datasets'))
    if inner is None:
        yield loader
        return
    for dataset in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from datasets_of(dataset)


def set_classes(cfg: Config, classes: Sequence[str]) -> None:
    """Replaces the classes of the data sets, and their number in the heads, losses and metrics."""
    for loader in LOADERS:
        for dataset in datasets_of(cfg.get(loader) or {'datasets': []}):
            if str(dataset.get('type')).endswith('Places365'):
                raise SeMmError('--classes: Places365 has classes of its own; use configs/demo/se_resnet18_scenes.py')
            dataset.metainfo = {**(dataset.get('metainfo') or {}), 'classes': tuple(classes)}
    for _, node in nodes((cfg.model, cfg.get('val_evaluator'), cfg.get('test_evaluator'))):
        if 'num_classes' in node:
            node['num_classes'] = len(classes)
        if 'topk' in node:
            top = node['topk'] if isinstance(node['topk'], (list, tuple)) else (node['topk'],)
            node['topk'] = tuple(k for k in top if k <= len(classes)) or (1,)


def _class_folders(cfg: Config) -> list[str]:
    """The folders of the training set, one for each class, in the order that mmpretrain numbers them."""
    dataset = next(datasets_of(cfg.train_dataloader))
    prefix = dataset.get('data_prefix') or ''
    prefix = next(iter(prefix.values()), '') if isinstance(prefix, dict) else prefix
    folder = Path(dataset.get('data_root') or '', prefix)
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    if len(classes) < 2:
        raise SeMmError(f'--classes: {folder.absolute()} has no folders of classes ({len(classes)} found); name them')
    return classes


def set_data_root(cfg: Config, data_root: str) -> None:
    """Replaces the folder that the config reads its data from, in data sets and evaluators alike."""
    old = cfg.get('data_root')
    for loader in LOADERS:
        for dataset in datasets_of(cfg.get(loader) or {'datasets': []}):
            old = old or dataset.get('data_root')
            dataset.setdefault('data_root', old or '')
    new = str(data_root).rstrip('/') + '/'
    _replace_prefix(cfg._cfg_dict, (old or '').rstrip('/') + '/', new)


def _replace_prefix(node: Any, old: str, new: str) -> None:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, str) and key == 'data_root' and value in ('', old, old.rstrip('/')):
            node[key] = new
        elif isinstance(value, str) and old != '/' and value.startswith(old):
            node[key] = new + value.removeprefix(old)
        elif isinstance(value, (dict, list)):
            _replace_prefix(value, old, new)
