"""Paths that a user names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlparse

from ..errors import SeMmError


def local_file(name: str) -> Path | None:
    """The file that a path or a ``file://`` URL names, with the home folder for ``~``; ``None`` for other names.

    Example:
        >>> local_file('file:///data/a%20b.pth'), local_file('timm://resnet50')
        (PosixPath('/data/a b.pth'), None)
    """
    path = unquote(urlparse(name).path) if name.startswith('file://') else name
    return None if '://' in path else Path(path).expanduser()


def existing_file(path: str, what: str) -> str:
    """The path of a file (:func:`local_file`) that is there, or a URL as it is.

    Raises:
        SeMmError: if not, naming ``what`` was looked for.

    Example:
        >>> existing_file('https://host/epoch_1.pth', 'checkpoint')
        'https://host/epoch_1.pth'
    """
    file = local_file(path)
    if file is not None and not file.is_file():
        raise SeMmError(f'{what} {path} does not exist (looked in {file.absolute()})')
    return str(file or path)


def make_folder(folder: Path, named: str) -> None:
    """Makes a folder where it is missing.

    Raises:
        SeMmError: if it cannot be made; ``named`` is what the user wrote (``'--out seen/'``).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SeMmError(f'{named} is no folder that can be written to: {error}') from error
