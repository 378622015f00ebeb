"""Folders of pictures, one for each class, become a training and a validation set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

from ...config.scene_layout import LISTS, Scenes, class_folders, find_scenes
from ...config.scene_layout import passed_over as passed_over_folders
from ...errors import SeMmError, listed
from ...utils.atomic import write_atomic
from ..annotations.checks import MOST_BROKEN
from ..annotations.pictures import PictureIndex, passed_over, sizes_or_reasons
from ..annotations.splits import set_aside
from .folders import SHOWN, check_arguments, how_to_train


def prepare_scenes(
    root: Path, val: float = 0.2, seed: int = 0, *, force: bool = False, skip_missing: bool = False
) -> list[str]:
    """Looks at folders of classes, and splits them where there is no validation set.

    ``train/<class>`` with ``val/<class>`` needs nothing, if mmpretrain would read the same pictures there. Otherwise,
    and for ``train/<class>`` alone, or ``<class>`` in the root itself, the lists ``meta/train.txt`` and
    ``meta/val.txt`` are written, which mmpretrain's ``CustomDataset`` reads; no picture is moved.

    Args:
        root: the folder.
        val: the share of each class in the validation set.
        seed: of the choice, which is by a hash of seed and name.
        force: whether lists that are there are made anew.
        skip_missing: whether lists are written however many pictures are broken.

    Returns:
        What was found and done, for the user.

    Raises:
        SeMmError: if there are no folders of classes, or more than a tenth of the pictures is broken.
    """
    check_arguments(root, val)
    found = find_scenes(root, use_lists=not force)
    if found is None:
        raise SeMmError(
            f'{root.absolute()} has no folders of classes; expected <class>/*.jpg, or train/<class>/*.jpg and val/'
        )
    if found.has_lists:
        files = ', '.join(str(root / name) for name in LISTS.values())
        return [f'{files}: there already; --force makes them anew', how_to_train(root)]
    folders = {'train': found.train} | ({'val': found.val} if found.val is not None else {})
    pictures, broken, read_too = {}, {}, []
    for split, folder in folders.items():
        pictures[split] = _pictures(root, folder, found.classes if split == 'train' else class_folders(root / folder))
        every = list(chain.from_iterable(pictures[split].values()))
        sizes = sizes_or_reasons(root, every)
        broken |= {file: size for file, size in zip(every, sizes, strict=True) if isinstance(size, str)}
        # mmpretrain also walks hidden folders of a class.
        read_too += [line for name in pictures[split] for line in passed_over(root / folder / name)]
    count = sum(len(files) for names in pictures.values() for files in names.values())
    lines = [f'{root}: {count} pictures in {len(found.classes)} folders of classes ({listed(found.classes)})']
    lines += passed_over(root)
    if broken:
        lines.append(f'{len(broken)} files are no pictures:')
        lines += [f'  {name} {why}' for name, why in list(broken.items())[:SHOWN]]
    if len(broken) > MOST_BROKEN * count and not skip_missing:
        raise SeMmError('\n'.join([*lines, '--skip-missing leaves them out']))
    if found.val is not None:
        _check_same_classes(root, found, list(pictures['val']))
    if found.val is not None and not (read_too or (broken and skip_missing) or force):
        inside = sum(map(len, pictures['val'].values()))
        return [*lines, f'split: {found.train}, {found.val} ({inside} pictures); nothing to write', how_to_train(root)]
    usable = {
        split: {name: [file for file in files if file not in broken] for name, files in names.items()}
        for split, names in pictures.items()
    }
    counts = _write_lists(root, usable, val, seed)
    how = f'split: {found.train}, {found.val}' if found.val else f'no validation set (--val {val} --seed {seed})'
    return [*lines, f'{how}: {counts}', how_to_train(root)]


def _pictures(root: Path, folder: str, classes: Sequence[str]) -> dict[str, list[str]]:
    """The pictures of each class, by paths from the root."""
    found = {
        name: [PurePosixPath(folder, name, file).as_posix() for file in PictureIndex(root / folder / name).files]
        for name in classes
    }
    if empty := [name for name, files in found.items() if not files]:
        raise SeMmError(f'{root / folder}: no picture in {listed(empty)}')
    return found


def _check_same_classes(root: Path, found: Scenes, others: Sequence[str]) -> None:
    if differ := sorted(set(others) ^ set(found.classes)):
        raise SeMmError(f'{root}: {found.train} and {found.val} have not the same classes: {listed(differ)}')
    for folder in (root / found.train, root / found.val):
        if names := passed_over_folders(folder):
            raise SeMmError(f'{folder} holds {listed(names)}, which mmpretrain takes for a class; remove it')


def _write_lists(root: Path, pictures: Mapping[str, Mapping[str, Sequence[str]]], val: float, seed: int) -> str:
    """Writes the lists of both splits, and returns how many pictures each has."""
    split: dict[str, list[str]] = {'train': [], 'val': []}
    for label, (name, files) in enumerate(pictures['train'].items()):
        if len(files) < 2:
            raise SeMmError(f'{root / name} has {len(files)} pictures; expected two or more')
        aside = set() if 'val' in pictures else set_aside(files, val, seed)
        for file in files:
            split['val' if file in aside else 'train'].append(f'{file} {label}\n')
        split['val'] += [f'{file} {label}\n' for file in pictures.get('val', {}).get(name, ())]
    (root / 'meta').mkdir(exist_ok=True)
    write_atomic(root / 'meta/classes.txt', ''.join(f'{name}\n' for name in pictures['train']))
    for name, entries in split.items():
        write_atomic(root / LISTS[name], ''.join(sorted(entries)))
    return ', '.join(f'{LISTS[name]} {len(entries)} pictures' for name, entries in split.items())
