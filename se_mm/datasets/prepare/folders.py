"""What the preparation of boxes and of scenes share."""

from __future__ import annotations

from pathlib import Path

from ...errors import SeMmError

#: Of broken files so many are named.
SHOWN = 20


def check_arguments(root: Path, val: float) -> None:
    """Refuses a folder that does not exist and a share that leaves nothing.

    Raises:
        SeMmError: for either.
    """
    if not root.is_dir():
        raise SeMmError(f'folder {root.absolute()} does not exist')
    if not 0 < val < 1:
        raise SeMmError(f'--val is {val}; expected a share above 0 and below 1, as 0.2')


def how_to_train(root: Path) -> str:
    """The command that trains on a prepared folder, for the user."""
    return f'train with: se-mm train CONFIG --data-root {root} --classes'
