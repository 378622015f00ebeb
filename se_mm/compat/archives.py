"""Unpacking tar archives that come from elsewhere."""

from __future__ import annotations

import tarfile
from pathlib import Path


def extract_inside(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpacks an archive into a folder; a ``TarError`` for a member that would be written to another place."""
    if hasattr(tarfile, 'data_filter'):  # from Python 3.10.12 and 3.11.4 on
        archive.extractall(folder, filter='data')
        return
    root = folder.resolve()
    for member in archive.getmembers():
        if not (member.isfile() or member.isdir()) or not (root / member.name).resolve().is_relative_to(root):
            raise tarfile.TarError(f'{member.name} is no file or folder inside of the archive')
    archive.extractall(folder)
