"""What was found out about large annotation files, which take a minute to read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...utils.atomic import write_atomic
from ...version import __version__

#: Bytes; smaller annotation files are read each time.
LARGE = 1 << 20
#: Counts changes of what is checked.
_RULES = 3


def remembered(file: Path, facts: list[Any], find_out: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``find_out`` returns, or returned in an earlier process if nothing has changed since.

    Args:
        file: that is read; its path, size and modification time are part of the facts.
        facts: all else that the result depends on; compared as text.
        find_out: returns what can be written as JSON; with ``'volatile': True`` it is not kept, and ``'watched'`` are
            paths and modification times (ns) that it depends on, too.

    Returns:
        The result, with ``'remembered': True`` where it is an earlier one.
    """
    state = file.stat()
    if state.st_size < LARGE:
        return find_out()
    every = [str(file.absolute()), state.st_size, state.st_mtime_ns, *facts, __version__, _RULES]
    digest = hashlib.sha256(json.dumps(every, sort_keys=True, default=repr).encode()).hexdigest()
    folder = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser() / 'se_mm/annotations'
    kept = folder / f'{digest[:32]}.json'
    with suppress(OSError, ValueError, TypeError):
        result = json.loads(kept.read_text())
        if all(Path(path).stat().st_mtime_ns == changed for path, changed in result.get('watched', ())):
            return {**result, 'remembered': True}
    result = find_out()
    if not result.get('volatile'):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(kept, json.dumps(result))
    return result
