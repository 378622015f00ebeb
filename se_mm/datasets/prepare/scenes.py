"""Folders of pictures, one for each class, become a training and a validation set."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from ...config.scene_layout import LISTS, class_folders, find_scenes
from ...errors import SeMmError, listed
from ...utils.atomic import write_atomic
from .annotated import PictureIndex, picture_size
from .detection import MOST_BROKEN, SHOWN


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
    if not root.is_dir():
        raise SeMmError(f'folder {root.absolute()} does not exist')
    if not 0 < val < 1:
        raise SeMmError(f'--val is {val}; expected a share above 0 and below 1, as 0.2')
    hint = f'train with: se-mm train CONFIG --data-root {root} --classes'
    found = find_scenes(root)
    if found is None:
        raise SeMmError(
            f'{root.absolute()} has no folders of classes; expected <class>/*.jpg, or train/<class>/*.jpg and val/'
        )
    if found.has_lists:
        return [
            f'{", ".join(str(root / name) for name in LISTS.values())}: there already; delete meta/ to make anew',
            hint,
        ]
    pictures = {name: PictureIndex(root / found.train / name).files for name in found.classes}
    empty = [name for name, files in pictures.items() if not files]
    if empty:
        raise SeMmError(f'{root / found.train}: no picture in {listed(empty)}')
    broken = _broken(
        root, [PurePosixPath(found.train, name, file).as_posix() for name, files in pictures.items() for file in files]
    )
    total = sum(map(len, pictures.values()))
    lines = [f'{root}: {total} pictures in {len(pictures)} folders of classes ({listed(found.classes)})']
    lines += (
        [f'{len(broken)} files are no pictures:', *(f'  {name} {why}' for name, why in broken[:SHOWN])]
        if broken
        else []
    )
    if len(broken) > MOST_BROKEN * total:
        raise SeMmError('\n'.join(lines))
    if found.val is not None:
        other = class_folders(root / found.val)
        if other != found.classes:
            differ = sorted(set(other) ^ set(found.classes))
            raise SeMmError(f'{root}: {found.train} and {found.val} have not the same classes: {listed(differ)}')
        count = len(PictureIndex(root / found.val).files)
        return [*lines, f'split: {found.train}, {found.val} ({count} pictures); nothing to write', hint]
    unusable = {name for name, _ in broken}
    split: dict[str, list[str]] = {'train': [], 'val': []}
    for label, (name, files) in enumerate(pictures.items()):
        whole = [PurePosixPath(found.train, name, file).as_posix() for file in files]
        whole = [file for file in whole if file not in unusable]
        ordered = sorted(whole, key=lambda file: hashlib.sha256(f'{seed}:{file}'.encode()).digest())
        aside = min(max(round(val * len(whole)), 1), len(whole) - 1)
        if aside < 1:
            raise SeMmError(f'{root / found.train / name} has {len(whole)} pictures; expected two or more')
        for i, file in enumerate(ordered):
            split['val' if i < aside else 'train'].append(f'{file} {label}\n')
    (root / 'meta').mkdir(exist_ok=True)
    write_atomic(root / 'meta/classes.txt', ''.join(f'{name}\n' for name in found.classes))
    for name, entries in split.items():
        write_atomic(root / LISTS[name], ''.join(sorted(entries)))
    counts = ', '.join(f'{LISTS[name]} {len(entries)}' for name, entries in split.items())
    return [*lines, f'no validation set: {counts} pictures (--val {val} --seed {seed})', hint]


def _broken(root: Path, files: list[str]) -> list[tuple[str, str]]:
    def why(file: str) -> str | None:
        try:
            picture_size(root / file)
        except Exception as error:  # decoders raise as they like
            return 'is empty (0 bytes)' if not (root / file).stat().st_size else f'is no picture ({error})'
        return None

    with ThreadPoolExecutor(8) as pool:
        return [(file, reason) for file, reason in zip(files, pool.map(why, files), strict=True) if reason]
