"""Hashes of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

_BLOCK = 1 << 20


def digest_of(file: Path, algorithm: str = 'sha256') -> str:
    """The hash of a file's content, in hexadecimal; it tells files apart, and is no seal.

    Example:
        >>> import os
        >>> digest_of(Path(os.devnull), 'md5')
        'd41d8cd98f00b204e9800998ecf8427e'
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)  # hashlib.file_digest needs Python 3.11
    with file.open('rb') as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
