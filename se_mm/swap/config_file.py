"""A twin as a config file that inherits from the original and holds only the difference, where that can be."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..compat.config_scope import read_config
from ..config.tree import value_at
from ..errors import SeMmError
from .changes import Change, Swap, apply

_WIDTH = 100
_HEADER = '# The SE twin of {}, written by tools/swap_backbone.py.\n'


def write_twin(swap: Swap, cfg: Config, original: str, file: Path) -> None:
    """Writes a twin down, whole or not at all. The twin of a config in pure Python (``read_base``) inherits nothing.

    Args:
        swap, cfg: the changes and the original.
        original: the file that it was read from, or ``package::path``.
        file: where to.

    Raises:
        SeMmError: if the file cannot be written.
    """
    if file.suffix != '.py':
        raise SeMmError(f'{file}: the name of a config ends with .py')
    if file.exists() and file.samefile(cfg.filename):
        raise SeMmError(f'{file} is the config that the twin would inherit from; name another file')
    draft = file.with_name(f'.{file.name}')
    try:
        draft.write_text(_text_of(swap, cfg, original, file.parent))
        twin = apply(swap, read_config(cfg.filename))
        try:
            is_twin = without_scopes(read_config(str(draft))) == without_scopes(twin)
        except RuntimeError:  # mmengine's: only its like inherits from a config in pure Python
            draft.write_text(f'{_HEADER.format(original)}{twin.pretty_text}')
            is_twin = read_config(str(draft)).pretty_text == twin.pretty_text
        if not is_twin:
            raise RuntimeError(f'the twin of {original} does not read back as it is')
        draft.replace(file)
    except OSError as error:
        raise SeMmError(f'{file} cannot be written: {error}') from error
    finally:
        draft.unlink(missing_ok=True)


def without_scopes(node: Any) -> Any:
    """A config's values without ``_scope_``, which mmengine adds to what comes from a package."""
    if isinstance(node, (Config, dict)):
        return {key: without_scopes(value) for key, value in node.items() if key != '_scope_'}
    if isinstance(node, (list, tuple)):
        return type(node)(without_scopes(value) for value in node)
    return node


def _text_of(swap: Swap, cfg: Config, original: str, folder: Path) -> str:
    base = original if '::' in original else os.path.relpath(original, folder)
    tree: dict[Any, Any] = {}
    for change in _without_lists(swap, cfg):
        node = tree
        for key in change.keys[:-1]:
            node = node.setdefault(key, {})
        node[change.keys[-1]] = _replacing(cfg, change)
    lines = [f'_base_ = {base!r}']
    for name, node in tree.items():
        lines += _lines(name, node)
    return _HEADER.format(original) + '\n'.join(lines) + '\n'


def _without_lists(swap: Swap, cfg: Config) -> Iterator[Change]:
    """The changes, those inside a list as the whole list, which is what a config can inherit."""
    twin, done = apply(swap, cfg), set()
    for change in swap.changes:
        index = next((i for i, key in enumerate(change.keys) if isinstance(key, int)), None)
        if index is None:
            yield change
        elif change.keys[:index] not in done:
            done.add(change.keys[:index])
            yield Change(change.keys[:index], copy.deepcopy(value_at(twin, change.keys[:index])), change.why)


def _replacing(cfg: Config, change: Change) -> Change:
    """The change with ``_delete_`` where its dictionary must not inherit the keys of the old one."""
    if not isinstance(change.value, dict):
        return change
    try:
        old = value_at(cfg, change.keys)
    except KeyError:
        return change
    if not isinstance(old, dict) or set(old) <= {'_scope_', *change.value}:
        return change
    return Change(change.keys, {'_delete_': True, **change.value}, change.why)


def _literal(value: Any) -> str:
    if isinstance(value, dict) and all(isinstance(key, str) and key.isidentifier() for key in value):
        return f'dict({", ".join(f"{key}={_literal(inner)}" for key, inner in value.items())})'
    if isinstance(value, list):
        return f'[{", ".join(map(_literal, value))}]'
    return repr(value)


def _lines(name: str, node: dict[Any, Any] | Change, level: int = 0) -> list[str]:
    """A value as lines of Python, each comment above its value; mmengine breaks long lines."""
    inner, comma = ('=', ',') if level else (' = ', '')
    if isinstance(node, Change):
        text = f'{name} = {_literal(node.value)}'
        if len(text) > _WIDTH:
            text = Config({name: node.value}).pretty_text.rstrip()
        text = text.replace(' = ', inner, 1) + comma
        lines = [f'# {node.why}', *text.split('\n')] if node.why else text.split('\n')
    else:
        inside = [line for key, value in node.items() for line in _lines(key, value, level + 1)]
        lines = [f'{name}{inner}dict(', *inside, f'){comma}']
    return [f'    {line}' for line in lines] if level else lines
