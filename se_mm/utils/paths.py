"""Paths that a user names."""

from __future__ import annotations

from pathlib import Path

from ..errors import SeMmError


def existing_file(path: str, what: str) -> str:
    """The path, if it is a file or a URL.

    Raises:
        SeMmError: if not, naming ``what`` was looked for.

    Example:
        >>> existing_file('https://host/epoch_1.pth', 'checkpoint')
        'https://host/epoch_1.pth'
    """
    if '://' not in path and not Path(path).is_file():
        raise SeMmError(f'{what} {path} does not exist (looked in {Path(path).absolute()})')
    return path


def make_folder(folder: Path, named: str) -> None:
    """Makes a folder where it is missing.

    Raises:
        SeMmError: if it cannot be made; ``named`` is what the user wrote (``'--out seen/'``).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SeMmError(f'{named} is no folder that can be written to: {error}') from error
