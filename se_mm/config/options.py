"""``--cfg-options``: values for the keys of a config, which are data and never code."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

import mmengine.registry
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import Registry

from ..errors import SeMmError
from .tree import dotted, nodes

#: The scopes that a type on the command line may name.
PROJECTS = ('mmengine', 'mmcv', 'mmdet', 'mmpretrain', 'se_mm')

#: Keys whose values mmengine looks up, and imports where it does not find them.
TYPES = ('type', 'constructor', 'runner_type', 'ema_type')
SCOPES = ('_scope_', 'default_scope')


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Lays dotted keys and their values over a config; a key that is new is named.

    Raises:
        SeMmError: if a key does not fit the config, or a type is none that is registered: mmengine
            would import and call whatever it names, and only a config may ask for that.
    """
    for key, kind in _types_in(options):
        _check_type(key, kind, cfg.get('default_scope'))
    for key in options:
        if not _has(cfg, key):
            print_log(f'--cfg-options: {key} is new, the config has no such key', logger='current', level=30)
    try:
        cfg.merge_from_dict(dict(options))
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise SeMmError(f'--cfg-options do not fit the config: {error}') from error


def _types_in(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for option, value in options.items():
        named = [(option, value)]
        named += [(dotted((option, *keys, key)), node[key]) for keys, node in nodes(value) for key in node]
        for key, kind in named:
            last = key.split('.')[-1]
            is_path = isinstance(kind, str) and '.' in kind
            if last in (*TYPES, *SCOPES) or (last.endswith('_type') and is_path):
                yield key, kind


def _check_type(key: str, kind: Any, scope: str | None) -> None:
    projects = [name for name in dict.fromkeys((*PROJECTS, scope)) if name]
    if kind is None:
        return
    if not isinstance(kind, str):
        raise SeMmError(f'--cfg-options: {key}={kind!r}; expected the name of a registered type')
    if key.split('.')[-1] in SCOPES:
        known = kind in projects
        names = projects
    else:
        project, _, name = kind.rpartition('.')
        names = _registered(projects)
        known = name in names and project in ('', *projects)
        kind = name
    if not known:
        close = difflib.get_close_matches(kind, names, 1)
        raise SeMmError(
            f'--cfg-options: {key}={kind} is not registered'
            + (f'; did you mean {close[0]}?' if close else f' in {", ".join(projects)}')
            + ' What is named by a path would be run as code: write that in a config'
        )


def _registered(projects: list[str]) -> set[str]:
    """The names in all registries of some projects."""
    for project in projects:
        with suppress(ImportError):
            import_module(f'{project}.registry')
    names: set[str] = set()
    roots = [value for value in vars(mmengine.registry).values() if isinstance(value, Registry)]
    for registry in (child for root in roots for child in (root, *root.children.values())):
        registry.import_from_location()
        names.update(registry.module_dict)
    return names


def _has(cfg: Any, dotted_key: str) -> bool:
    for key in dotted_key.split('.'):
        if isinstance(cfg, (list, tuple)) and key.isdigit() and int(key) < len(cfg):
            cfg = cfg[int(key)]
        elif isinstance(cfg, (Config, dict)) and key in cfg:
            cfg = cfg[key]
        else:
            return False
    return True
