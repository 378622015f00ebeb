"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

PART = '.part'


def write_whole(path: str | Path, content: bytes | str) -> None:
    """Writes a file aside and renames it: whoever looks sees the old file or the new one.

    A symbolic link in its place is replaced, not followed.

    Args:
        path: the file; the folder has to be there.
        content: text is written as UTF-8.

    Raises:
        OSError: if it cannot be written; what stood there before still does.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole(Path(folder, 'a.txt'), 'whole')
        ...     [entry.name for entry in Path(folder).iterdir()], Path(folder, 'a.txt').read_text()
        (['a.txt'], 'whole')
    """
    path = Path(path)
    aside = path.with_name(f'{path.name}.{os.getpid()}{PART}')
    content = content.encode() if isinstance(content, str) else content
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
        with os.fdopen(descriptor, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    _sync_folder(path.parent)


def unlink_link(path: str | Path) -> None:
    """Removes a symbolic link, which others would write through; a file or a folder stays."""
    if Path(path).is_symlink():
        Path(path).unlink()


def _sync_folder(folder: Path) -> None:
    """Makes a renaming last through a loss of power, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class WholeFiles(LocalBackend):
    """mmengine's files on a local disk, written by :func:`write_whole`."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_whole(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        self.put(obj.encode(encoding), filepath)


def install() -> None:
    """Puts :class:`WholeFiles` behind mmengine's local paths; may be called again."""
    register_backend('local', WholeFiles, prefixes='', force=True)
