"""Atomic file writes."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

#: Ending of the temporary file beside the final one, which carries the machine and the process that write it.
PART = '.part'
#: Seconds after which a temporary file of another machine is nobody's.
_STALE = 24 * 3600


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
    temporary = path.with_name(f'{path.name}.{socket.gethostname()}.{os.getpid()}{PART}')
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


def remove_left_over(folder: str | Path) -> None:
    """Removes the temporary files in a folder whose processes were killed: none that another run is writing."""
    for file in Path(folder).glob(f'*{PART}'):
        name, _, process = file.name.removesuffix(PART).rpartition('.')
        with suppress(OSError):  # another process has removed it
            here = name.endswith(f'.{socket.gethostname()}') and process.isdigit()
            if not _is_alive(int(process)) if here else time.time() - file.stat().st_mtime > _STALE:
                file.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True
