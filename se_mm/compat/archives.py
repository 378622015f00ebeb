"""Unpacking tar archives that come from elsewhere."""

from __future__ import annotations

import tarfile
from pathlib import Path


def extract_inside(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpacks an archive into a folder, and nothing outside of it.

    Python's ``filter='data'`` does this from 3.10.12 and 3.11.4 on; before, archives with anything but
    files and folders are refused too.

    Raises:
        tarfile.TarError: for a member that would be written to another place.
    """
    if hasattr(tarfile, 'data_filter'):
        archive.extractall(folder, filter='data')
        return
    root = folder.resolve()
    for member in archive.getmembers():
        if not (member.isfile() or member.isdir()) or not (root / member.name).resolve().is_relative_to(root):
            raise tarfile.TarError(f'{member.name} is no file or folder inside of the archive')
    archive.extractall(folder)
