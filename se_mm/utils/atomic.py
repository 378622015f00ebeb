"""Atomic file writes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: Ending of the temporary file beside the final one.
PART = '.part'


def write_atomic(path: str | Path, content: bytes | str) -> None:
    """Writes bytes, or text as UTF-8, to a file beside it and renames that: readers see the old file or the new one.

    Raises:
        OSError: if it cannot be written; an existing file is unchanged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomic(Path(folder, 'a.txt'), 'text')
        ...     [entry.name for entry in Path(folder).iterdir()], Path(folder, 'a.txt').read_text()
        (['a.txt'], 'text')
    """
    path = Path(path)
    temporary = path.with_name(f'{path.name}.{os.getpid()}{PART}')
    try:
        with temporary.open('wb') as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    with suppress(OSError):  # the rename survives a loss of power where the file system can sync a folder
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
