"""A config as a tree of dictionaries and lists: its nodes, and the keys that lead to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config

Keys = tuple[str | int, ...]


def nodes(tree: Any, keys: Keys = ()) -> Iterator[tuple[Keys, Mapping[str, Any]]]:
    """Every dictionary inside a value, with the keys that lead to it.

    Example:
        >>> [keys for keys, _ in nodes({'model': {'heads': [{}, {}]}})]
        [(), ('model',), ('model', 'heads', 0), ('model', 'heads', 1)]
    """
    if isinstance(tree, Config):
        tree = dict(tree.items())
    if isinstance(tree, Mapping):
        yield keys, tree
    inside = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, (list, tuple)) else ()
    for key, value in inside:
        yield from nodes(value, (*keys, key))


def value_at(tree: Any, keys: Keys) -> Any:
    """What some keys lead to.

    Example:
        >>> value_at({'heads': [{'depth': 50}]}, ('heads', 0, 'depth'))
        50
    """
    for key in keys:
        tree = tree[key]
    return tree


#: What :func:`find` returns where there is nothing.
MISSING = object()


def find(tree: Any, keys: Sequence[str]) -> Any:
    """What dotted keys lead to, where a number is an index into a list; ``MISSING`` where they lead nowhere.

    Example:
        >>> find({'heads': [{'depth': 50}]}, ['heads', '0', 'depth']), find({}, ['heads']) is MISSING
        (50, True)
    """
    for key in keys:
        if isinstance(tree, (list, tuple)) and key.isdigit() and int(key) < len(tree):
            tree = tree[int(key)]
        elif isinstance(tree, (Config, dict)) and key in tree:
            tree = tree[key]
        else:
            return MISSING
    return tree


def dotted(keys: Keys) -> str:
    """Keys as ``--cfg-options`` takes them."""
    return '.'.join(map(str, keys))
