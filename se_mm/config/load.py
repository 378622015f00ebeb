"""Reading a config and the few changes that every tool makes to it."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ..errors import SeMmError
from .classes import check_classes_given_once, set_classes
from .keys import name_types
from .loaders import datasets_in
from .model_argument import config_named
from .options import merge_options
from .refusals import check_form

DATA_ROOT_VARIABLE = 'SE_MM_DATA'


def load_config(
    name: str,
    options: Mapping[str, Any] | None = None,
    data_root: str | None = None,
    classes: Sequence[str] | None = None,
) -> Config:
    """Reads a config and lays the command line over it.

    Args:
        name: a file, ``package::path`` for one that an installed package ships, or a checkpoint, which holds the
            config of its training.
        options: dotted keys and values, as ``--cfg-options`` gives them.
        data_root: the folder that replaces the config's ``data_root``; ``None`` asks the
            environment variable ``SE_MM_DATA``, and keeps the config's where that is unset; ``''`` keeps it.
            :func:`~se_mm.datasets.own_data.config_with_data` also looks into it.
        classes: the names that replace the config's, if any.

    Returns:
        The config; ``work_dir`` is set.

    Raises:
        SeMmError: if the file is missing, cannot be read as a config, or an option does not fit.

    Example:
        >>> load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py').model.backbone.type
        'ResNet'
    """
    cfg = config_named(name)
    check_form(cfg)
    name_types(cfg)
    if not isinstance(cfg.get('model'), dict):
        raise SeMmError(f'{cfg.filename} is not a config to run: it has no `model = dict(...)`')
    if options:
        if classes is not None:
            check_classes_given_once(list(options))
        merge_options(cfg, options)
    if root := data_root_of(data_root):
        set_data_root(cfg, root)
    if classes:
        set_classes(cfg, classes)
    cfg.setdefault('work_dir', default_work_dir(cfg.filename))
    return cfg


def model_of(cfg: Config) -> ConfigDict:
    """The model of a config with the preprocessor that stands at top level, as mmengine's Runner builds it.

    Example:
        >>> model_of(Config(dict(model=dict(type='ImageClassifier'), data_preprocessor=dict(mean=[120.0]))))
        {'type': 'ImageClassifier', 'data_preprocessor': {'mean': [120.0]}}
    """
    model = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor'):
        model.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
    return model


def default_work_dir(path: str) -> str:
    """Where a config that names no folder writes to."""
    return f'work_dirs/{Path(path).stem}'


def has_default_work_dir(cfg: Config) -> bool:
    """Whether the folder of a config is its default, or that of its twin."""
    default = default_work_dir(cfg.filename or '')
    return bool(cfg.filename) and (cfg.work_dir == default or cfg.work_dir.startswith(f'{default}_'))


def data_root_of(given: str | None) -> str | None:
    """The folder of the data that is asked for, on the command line or in the environment."""
    return os.environ.get(DATA_ROOT_VARIABLE) if given is None else given


def set_data_root(cfg: Config, data_root: str) -> None:
    """Replaces the folder that the config reads its data from, in data sets and evaluators alike."""
    datasets = [dataset for _, dataset in datasets_in(cfg)]
    named = [root for dataset in datasets if (root := dataset.get('data_root'))]
    old = cfg.get('data_root')
    if named and not (old and any(f'{root}/'.startswith(old.rstrip('/') + '/') for root in named)):
        old = named[0]  # the config's own is not where its data sets are
    for dataset in datasets:
        dataset.setdefault('data_root', old or '')
    new = str(data_root).rstrip('/') + '/'
    _replace_prefix(cfg, (old or '').rstrip('/') + '/', new)


def _replace_prefix(node: Any, old: str, new: str) -> None:
    for key, value in node.items() if isinstance(node, (Config, dict)) else enumerate(node):
        if isinstance(value, str) and key == 'data_root' and value in ('', old, old.rstrip('/')):
            node[key] = new
        elif isinstance(value, str) and old != '/' and value.startswith(old):
            node[key] = new + value.removeprefix(old)
        elif isinstance(value, (dict, list)):
            _replace_prefix(value, old, new)
