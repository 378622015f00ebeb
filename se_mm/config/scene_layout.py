"""Where a folder keeps the pictures of a classifier: folders of classes, or lists of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

#: Written by ``tools/prepare_data.py scenes``: lines of a path from the root, and the number of the class.
LISTS = {'train': 'meta/train.txt', 'val': 'meta/val.txt'}
#: Beginnings of the names of folders that are no classes.
_NO_CLASSES = ('.', '__')
_VALIDATION = ('val', 'valid', 'validation', 'test')


class Scenes(NamedTuple):
    """Pictures by class.

    Attributes:
        classes: sorted names, as mmpretrain numbers them.
        train: the folder of the folders of classes, relative to the root.
        val: the same for validation; ``None`` where there is none.
        has_lists: whether ``LISTS`` are there, which say the split.
    """

    classes: tuple[str, ...]
    train: str
    val: str | None
    has_lists: bool


def class_folders(folder: Path) -> tuple[str, ...]:
    """The folders of classes in a folder, sorted; what is hidden is passed over."""
    return tuple(name for name in _folders(folder) if not name.startswith(_NO_CLASSES))


def passed_over(folder: Path) -> tuple[str, ...]:
    """The folders in a folder that are no classes: hidden ones and those of archivers, as ``__MACOSX``."""
    return tuple(name for name in _folders(folder) if name.startswith(_NO_CLASSES))


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def has_lists(root: Path) -> bool:
    """Whether ``tools/prepare_data.py scenes`` wrote lists below a root."""
    return all((root / file).is_file() for file in (*LISTS.values(), 'meta/classes.txt'))


def find_scenes(root: str | Path, use_lists: bool = True) -> Scenes | None:
    """The folders of classes below a root, or the lists in it; ``None`` where there are fewer than two classes."""
    root = Path(root)
    train = 'train' if len(class_folders(root / 'train')) > 1 else ''
    if use_lists and has_lists(root):
        return Scenes(tuple((root / 'meta/classes.txt').read_text().splitlines()), train, None, True)
    val = next((name for name in _VALIDATION if train and len(class_folders(root / name)) > 1), None)
    classes = class_folders(root / train)
    if not train:
        classes = tuple(name for name in classes if name not in ('meta', 'annotations', 'images', 'labels', 'train'))
    return Scenes(classes, train, val, False) if len(classes) > 1 else None
