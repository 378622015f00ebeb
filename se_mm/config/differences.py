"""Where two configs differ in what makes a result what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from mmengine.config import Config

from .loaders import datasets_in
from .tree import dotted, nodes

#: Parts of a config that make a result what it is.
_SETUP = (
    'model',
    'data_preprocessor',
    'train_dataloader',
    'train_cfg',
    'optim_wrapper',
    'param_scheduler',
    'auto_scale_lr',
    'custom_hooks',
    'val_dataloader',
    'val_evaluator',
)
#: Keys that say where something is, not what, and those of the weights, which are compared for themselves.
_PLACES = {'data_root', 'init_cfg', 'pretrained', 'num_workers', 'persistent_workers', 'report', '_scope_'}
#: So many keys of two configs are named.
SHOWN_KEYS = 12


def differences(
    first: Config, second: Config, parts: Sequence[str] = _SETUP, without: Sequence[str] = ()
) -> dict[str, tuple[Any, Any]]:
    """Where two trainings differ, by dotted keys; where their files are, and what they start from, is left out.

    Args:
        first, second: the configs.
        parts: top-level keys that are looked at.
        without: keys at any depth that are left out, too.

    Example:
        >>> plain, se = (Config(dict(model=dict(backbone=dict(type=t, depth=18)))) for t in ('ResNet', 'SEResNet'))
        >>> differences(plain, se)
        {'model.backbone.type': ('ResNet', 'SEResNet')}
    """
    return differing(*(_leaves(cfg, parts, _PLACES.union(without)) for cfg in (first, second)))


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The values of the keys at which two dictionaries differ; ``None`` for a key that is missing."""
    return {key: (one.get(key), other.get(key)) for key in {**one, **other} if one.get(key) != other.get(key)}


def in_words(changed: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Differences of two configs, each in Markdown."""
    return [f'`{key}` {a!r} → {b!r}' for key, (a, b) in changed.items()]


def data_roots(cfg: Config) -> list[str]:
    """The folders of the data sets of a config, without those of its test."""
    roots = (dataset.get('data_root') for split, dataset in datasets_in(cfg) if split != 'test')
    return list(dict.fromkeys(filter(None, roots)))


def _leaves(cfg: Config, parts: Sequence[str], without: Set[str]) -> dict[str, Any]:
    """Every value that holds no dictionary, by its dotted key; paths below the folder of the data are relative."""
    roots = data_roots(cfg)
    return {
        dotted((*keys, key)): _comparable(value, roots)
        for keys, node in nodes({key: cfg.get(key) for key in parts})
        for key, value in node.items()
        if not {*keys, key} & without and not any(True for _ in nodes(value))
    }


def _comparable(value: Any, roots: Sequence[str]) -> Any:
    """Without tuples, which a config that was written and read again may have in place of lists."""
    if isinstance(value, str):
        root = next((root for root in roots if value.startswith(f'{root.rstrip("/")}/')), '')
        return value.removeprefix(root).lstrip('/') if root else value
    return [_comparable(entry, roots) for entry in value] if isinstance(value, (list, tuple)) else value
