"""Folders of pictures, one for each class, become a training and a validation set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path, PurePosixPath

from ...config.scene_layout import LISTS, class_folders, find_scenes, passed_over
from ...errors import SeMmError, listed
from ...utils.atomic import write_atomic
from .annotated import (
    MOST_BROKEN,
    SHOWN,
    PictureIndex,
    check_arguments,
    how_to_train,
    set_aside,
    sizes_or_reasons,
)


def prepare_scenes(root: Path, val: float = 0.2, seed: int = 0) -> list[str]:
    """Looks at folders of classes, and splits them where there is no validation set.

    ``train/<class>`` with ``val/<class>`` needs nothing. For ``train/<class>`` alone, or
    ``<class>`` in the root itself, the lists ``meta/train.txt`` and ``meta/val.txt`` are written,
    which mmpretrain's ``CustomDataset`` reads; no picture is moved.

    Args:
        root: the folder.
        val: the share of each class in the validation set.
        seed: of the choice, which is by a hash of seed and name.

    Returns:
        What was found and done, for the user.

    Raises:
        SeMmError: if there are no folders of classes, or more than a tenth of the pictures is broken.
    """
    check_arguments(root, val)
    found = find_scenes(root)
    if found is None:
        raise SeMmError(
            f'{root.absolute()} has no folders of classes; expected <class>/*.jpg, or train/<class>/*.jpg and val/'
        )
    if found.has_lists:
        return [
            f'{", ".join(str(root / name) for name in LISTS.values())}: there already; delete meta/ to make anew',
            how_to_train(root),
        ]
    pictures = {
        name: [
            PurePosixPath(found.train, name, file).as_posix() for file in PictureIndex(root / found.train / name).files
        ]
        for name in found.classes
    }
    empty = [name for name, files in pictures.items() if not files]
    if empty:
        raise SeMmError(f'{root / found.train}: no picture in {listed(empty)}')
    every = list(chain.from_iterable(pictures.values()))
    sizes = sizes_or_reasons(root, every)
    broken = {file: reason for file, reason in zip(every, sizes, strict=True) if isinstance(reason, str)}
    lines = [f'{root}: {len(every)} pictures in {len(pictures)} folders of classes ({listed(found.classes)})']
    if broken:
        lines.append(f'{len(broken)} files are no pictures:')
        lines += [f'  {name} {why}' for name, why in islice(broken.items(), SHOWN)]
    if len(broken) > MOST_BROKEN * len(every):
        raise SeMmError('\n'.join(lines))
    if found.val is not None:
        other = class_folders(root / found.val)
        if other != found.classes:
            differ = sorted(set(other) ^ set(found.classes))
            raise SeMmError(f'{root}: {found.train} and {found.val} have not the same classes: {listed(differ)}')
        for folder in (root / found.train, root / found.val):
            if others := passed_over(folder):
                raise SeMmError(f'{folder} holds {listed(others)}, which mmpretrain takes for a class; remove it')
        count = len(PictureIndex(root / found.val).files)
        return [*lines, f'split: {found.train}, {found.val} ({count} pictures); nothing to write', how_to_train(root)]
    usable = {name: [file for file in files if file not in broken] for name, files in pictures.items()}
    counts = _write_lists(root, found.train, usable, val, seed)
    return [*lines, f'no validation set: {counts} pictures (--val {val} --seed {seed})', how_to_train(root)]


def _write_lists(root: Path, train: str, pictures: Mapping[str, Sequence[str]], val: float, seed: int) -> str:
    """Writes the lists of both splits, and returns how many pictures each has."""
    split: dict[str, list[str]] = {'train': [], 'val': []}
    for label, (name, files) in enumerate(pictures.items()):
        if len(files) < 2:
            raise SeMmError(f'{root / train / name} has {len(files)} pictures; expected two or more')
        aside = set_aside(files, val, seed)
        for file in files:
            split['val' if file in aside else 'train'].append(f'{file} {label}\n')
    (root / 'meta').mkdir(exist_ok=True)
    write_atomic(root / 'meta/classes.txt', ''.join(f'{name}\n' for name in pictures))
    for name, entries in split.items():
        write_atomic(root / LISTS[name], ''.join(sorted(entries)))
    return ', '.join(f'{LISTS[name]} {len(entries)}' for name, entries in split.items())
