"""Which pictures are for training, validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from ...errors import SeMmError

SPLITS = ('train', 'val', 'test')
#: Names of folders and files that say which split they hold.
SPLIT_NAMES = {
    'train': 'train',
    'training': 'train',
    'trainval': 'train',
    'train2017': 'train',
    'val': 'val',
    'valid': 'val',
    'validation': 'val',
    'val2017': 'val',
    'minival': 'val',
    'test': 'test',
    'testing': 'test',
}


def split_of(file: str) -> str | None:
    """The split that a file's folders speak of, or for annotations the words of its name.

    Example:
        >>> split_of('images/valid/a.jpg'), split_of('annotations/instances_train2017.json'), split_of('a.jpg')
        ('val', 'train', None)
    """
    path = PurePosixPath(file)
    words = path.stem.lower().replace('-', '_').replace('.', '_').split('_') if path.suffix in ('.json', '.csv') else []
    for part in [*reversed(words), *(part.lower() for part in reversed(path.parent.parts))]:
        if part in SPLIT_NAMES:
            return SPLIT_NAMES[part]
    return None


def set_aside(files: Sequence[str], val: float, seed: int) -> set[str]:
    """The files of the validation set, at least one and not all, chosen by a hash of seed and name.

    Example:
        >>> sorted(set_aside(['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg', 'e.jpg'], val=0.4, seed=0))
        ['a.jpg', 'd.jpg']
    """
    ordered = sorted(files, key=lambda file: hashlib.sha256(f'{seed}:{file}'.encode()).digest())
    return set(ordered[: min(max(round(val * len(files)), 1), len(files) - 1)])


def assign(files: Sequence[str], declared: Sequence[str | None], val: float, seed: int) -> tuple[list[str], list[str]]:
    """A split for every picture: what is declared stays, the rest is trained on.

    Where no picture is declared for validation a test set beside a declared training set takes its
    place; else some are set aside, of those without a split if there are any.

    Args:
        files: of the pictures.
        declared: their splits, ``None`` where there is none.
        val: the share to set aside, in 0..1.
        seed: of that choice.

    Returns:
        The splits, and what the user should know.

    Raises:
        SeMmError: if too few pictures are left to set some aside.

    Example:
        >>> assign(['a.jpg', 'b.jpg', 'c.jpg'], [None, 'val', None], 0.2, 0)
        (['train', 'val', 'train'], ['2 pictures without a split are trained on'])
    """
    there = set(declared)
    rest = sum(split is None for split in declared)
    if 'val' in there and there & {'train', None}:
        lines = [f'{rest} pictures without a split are trained on'] if rest else []
        return [split or 'train' for split in declared], lines
    if {'train', 'test'} <= there and not rest:
        return [{'test': 'val'}.get(split, split) for split in declared], [
            'no validation set: the test set is used for it'
        ]
    # One split alone is none; of a training set and pictures without a split the latter are drawn from.
    kept = {'test'} if there - {'test'} else set()
    drawn = [i for i, split in enumerate(declared) if (split is None if rest > 1 else split not in kept)]
    if len(drawn) < 2:
        raise SeMmError(f'{len(drawn)} pictures with annotations; expected two at the least, to train and to validate')
    aside = set_aside([files[i] for i in drawn], val, seed)
    chosen = {i for i in drawn if files[i] in aside}
    splits = ['val' if i in chosen else split if split in kept else 'train' for i, split in enumerate(declared)]
    of = f'{len(drawn)} pictures' + (' without a split' if there - {None} and rest > 1 else '')
    return splits, [f'no validation set: {len(chosen)} of {of} are set aside for it (--val {val} --seed {seed})']
