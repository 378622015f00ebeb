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
