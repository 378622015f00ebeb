"""Report of skipped images and annotations: a JSON Lines file in the work_dir."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...utils.atomic import write_atomic

FILE = 'skipped_data.jsonl'


class Skipped(NamedTuple):
    """An image file or an annotation that was skipped: of which split, and why."""

    split: str
    kind: str
    name: str
    reason: str


def note(file: str | Path, entries: Iterable[Skipped]) -> None:
    """Adds entries to a file; several processes may do so at once."""
    lines = ''.join(f'{json.dumps(entry)}\n' for entry in entries)
    if lines:
        with Path(file).open('a') as stream:  # one write with O_APPEND, for what is no longer than a page
            stream.write(lines)


def noted(file: str | Path, start: int = 0) -> tuple[list[Skipped], int]:
    """The entries from a position of the file on, and the position after them.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     note(f'{folder}/a', [Skipped('train', 'image', 'a.jpg', 'cut off')])
        ...     noted(f'{folder}/a')[0]
        [Skipped(split='train', kind='image', name='a.jpg', reason='cut off')]
    """
    file = Path(file)
    if not file.is_file() or file.stat().st_size <= start:
        return [], start
    with file.open('rb') as stream:
        stream.seek(start)
        content = stream.read()
    whole = content[: content.rfind(b'\n') + 1]
    return list(_entries(whole)), start + len(whole)


def forget(file: str | Path, splits: Iterable[str]) -> None:
    """Removes the entries of some splits, which an earlier run wrote."""
    entries, _ = noted(file)
    if entries:
        kept = [entry for entry in entries if entry.split not in splits]
        write_atomic(file, ''.join(f'{json.dumps(entry)}\n' for entry in kept))


def _entries(lines: bytes) -> Iterator[Skipped]:
    for line in lines.splitlines():
        with suppress(ValueError, TypeError):  # a line cut short by a full disk or a killed process
            yield Skipped(*json.loads(line))
