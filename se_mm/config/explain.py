"""``--explain KEY``: which file of a config's inheritance set a value."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..compat.config_scope import base_files, read_config
from ..errors import SeMmError
from .locate import closest, locate
from .tree import MISSING, dotted, find, nodes


def explain(path: str, cfg: Config, key: str) -> list[str]:
    """The files that set a key, from the base to the config itself, and the value that is used.

    Args:
        path: the config's file.
        cfg: the config as it is run, with the command line in it.
        key: dotted, as ``--cfg-options`` takes it.

    Returns:
        A line for each file that gives the key another value than its bases, and one for the
        command line if that changed it.

    Raises:
        SeMmError: if the config does not have the key, with the closest ones.
    """
    keys = key.split('.')
    final = find(cfg, keys)
    lines, before = [], MISSING
    for file, value in _history(path, keys):
        lines.append(f'{file}: {_shown(value)}')
        before = value
    if final is MISSING and not lines:
        known = {dotted((*where, name)) for where, node in nodes(cfg._cfg_dict) for name in node}
        close = closest(key, known)
        last = key.rpartition('.')[2]
        close += sorted(name for name in known if name.rpartition('.')[2] == last and name not in close)[:3]
        hint = f'; did you mean {", ".join(close)}?' if close else ''
        raise SeMmError(f'--explain {key}: the config has no such key{hint}')
    if final is not MISSING and _comparable(final) != _comparable(before):
        lines.append(f'the command line: {_shown(final)}')
    return [f'{key} = {_shown(final)}', *(f'  {line}' for line in lines)]


def _history(path: str, keys: list[str]) -> Iterator[tuple[str, Any]]:
    """The files that change a key, the deepest base first, each once."""
    bases = base_files(path)
    inherited = MISSING
    for base in bases:
        file = locate(base) if '::' in base else os.path.normpath(Path(path).parent / base)
        yield from _history(file, keys)
        value = find(read_config(file), keys)
        inherited = value if value is not MISSING else inherited
    value = find(read_config(path), keys)
    if _comparable(value) != _comparable(inherited):
        yield path, value


def _comparable(value: Any) -> Any:
    return repr(value.to_dict() if hasattr(value, 'to_dict') else value)


def _shown(value: Any) -> str:
    if value is MISSING:
        return 'not set'
    text = ' '.join(str(value.to_dict() if hasattr(value, 'to_dict') else value).split())
    return text if len(text) <= 300 else f'{text[:300]}...'
