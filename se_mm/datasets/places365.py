"""Places365 (Zhou et al., "Places: A 10 million image database for scene recognition", TPAMI 2018)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset

from ..errors import SeMmError, listed
from ..registry import DATASETS
from .image_list import ImageList

#: The splits and their list files.
LISTS = {
    'train-standard': 'places365_train_standard.txt',
    'train-challenge': 'places365_train_challenge.txt',
    'val': 'places365_val.txt',
    'test': 'places365_test.txt',
}
SIZES = ('256', 'large')
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png')
_SHOWN = 5


def category_folders() -> tuple[str, ...]:
    """The 365 categories in the official order, as the folders of the archives (``/a/airfield``)."""
    lines = files(__package__).joinpath('categories_places365.txt').read_text().splitlines()
    return tuple(line.rpartition(' ')[0] for line in lines)


FOLDERS = category_folders()
#: Without the letter: ``airfield``, ``apartment_building/outdoor``.
CLASSES = tuple(folder[3:] for folder in FOLDERS)


@dataclass(frozen=True)
class Layout:
    """How the images of a split lie on the disk.

    Attributes:
        images: the folder that their paths start from.
        list_file: the official list, or ``None``: the easy format, a folder for each class.
    """

    images: Path
    list_file: Path | None

    def __str__(self) -> str:
        return f'{self.images} with {self.list_file}' if self.list_file else f'{self.images}, a folder for each class'


def find_layout(root: Path, split: str, size: str | None = None) -> Layout:
    """Finds a split as the official archives or the easy format unpack.

    Args:
        root: the folder that they were unpacked in.
        split: of ``LISTS``.
        size: of ``SIZES``; ``None``: the small pictures where they are there.

    Raises:
        SeMmError: if the split is not there; the message says what was looked for.
    """
    if not root.is_dir():
        raise SeMmError(
            f'Places365: folder {root.absolute()} does not exist; tools/prepare_data.py places365 says more'
        )
    kind, _, variant = split.partition('-')
    stem = 'data' if kind == 'train' else kind
    sizes = (size,) if size else SIZES
    folders = [root / f'{stem}_{s}{suffix}' for s in sizes for suffix in (f'_{variant}' if variant else '', '')]
    lists = [root / LISTS[split], *sorted(root.glob(f'*/{LISTS[split]}'))]
    images = next((folder for folder in folders if folder.is_dir()), None)
    list_file = next((file for file in lists if file.is_file()), None)
    if images and list_file:
        return Layout(images, list_file)
    easy = root / kind
    if easy.is_dir() and kind != 'test' and not images:
        return Layout(easy, None)
    looked_for = ', '.join(dict.fromkeys(str(folder) for folder in folders))
    found = f'there is {images or list_file}, but not its other half. ' if images or list_file else ''
    raise SeMmError(
        f'Places365 {split}: {found}Looked for one of {looked_for} with {LISTS[split]}, or {easy} with a folder '
        'for each class; tools/prepare_data.py places365 says where to get them'
    )


@DATASETS.register_module()
class Places365(BaseDataset):
    """Places365: 365 scenes, 1.8 million (standard) or 8 million (challenge) pictures for training.

    Reads the archives as they unpack (``data_256/a/airfield/00000001.jpg`` with
    ``places365_train_standard.txt``, ``val_256`` with ``places365_val.txt``; ``large``
    likewise) and the easy format (``train/airfield/*.jpg``), and says which it found. All
    give the same labels.

    Args:
        data_root: the folder that the archives were unpacked in.
        split: ``'train-standard'``, ``'train-challenge'``, ``'val'`` or ``'test'`` (no labels).
        size: ``'256'`` or ``'large'``; ``None``: the small pictures where they are there.
        **kwargs: of mmpretrain's ``BaseDataset``: ``pipeline``, ``test_mode``, ``indices``,
            ``lazy_init``.

    Raises:
        SeMmError: if the split is not there or empty, a line of a list is no path and label,
            names a folder that is missing, or a class has no picture; the message names the
            file and the line.
    """

    METAINFO = {'classes': CLASSES}

    def __init__(
        self,
        data_root: str,
        split: str = 'train-standard',
        size: str | None = None,
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        if split not in LISTS:
            raise SeMmError(f'Places365 has no split {split!r}; it has {", ".join(LISTS)}')
        if size not in (None, *SIZES):
            raise SeMmError(f'size must be one of {SIZES} or None, got {size!r}')
        self.split = split
        self.size = size
        super().__init__(ann_file='', data_root=data_root, lazy_init=True, **kwargs)
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        if self._fully_initialized:
            return
        layout = find_layout(Path(self.data_root).expanduser(), self.split, self.size)
        self.images_folder = layout.images
        self.images = _read_list(layout, self.split) if layout.list_file else _read_folders(layout.images)
        found = np.unique(self.images.labels[self.images.labels >= 0])
        labels = f'{len(found)} classes' if self.split != 'test' else 'no labels'
        print_log(f'Places365 {self.split}: {layout}: {len(self.images)} images, {labels}', logger='current')
        if self._indices is not None:
            self.images = self.images[_as_index(self._indices)]
        self._fully_initialized = True

    def __len__(self) -> int:
        self.full_init()
        return len(self.images)

    def image_path(self, idx: int) -> str:
        return f'{self.images_folder}/{self.images.path(idx).lstrip("/")}'

    def get_data_info(self, idx: int) -> dict[str, Any]:
        self.full_init()
        idx = range(len(self.images))[idx]
        info = {'img_path': self.image_path(idx), 'sample_idx': idx}
        if self.split != 'test':
            info['gt_label'] = self.images.label(idx)
        return info

    def get_gt_labels(self) -> np.ndarray:
        self.full_init()
        return self.images.labels.astype(np.int64)

    def get_cat_ids(self, idx: int) -> list[int]:
        return [self.images.label(idx)]

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        self.full_init()
        self.images = self.images[_as_index(indices)]

    def get_subset(self, indices: Sequence[int] | int) -> Places365:
        self.full_init()
        subset = self._copy_without_annotation()
        subset.images = self.images[_as_index(indices)]
        return subset


def _as_index(indices: Sequence[int] | int) -> Any:
    """As in mmengine: a number means that many from the start, or from the end where it is negative."""
    if isinstance(indices, int):
        return slice(indices) if indices >= 0 else slice(indices, None)
    return np.asarray(indices)


def _read_folders(folder: Path) -> ImageList:
    """The easy format: ``folder/airfield/*.jpg``, with ``-`` for the ``/`` in a class's name."""
    present = {entry.name for entry in os.scandir(folder) if entry.is_dir()}
    wanted = {name.replace('/', '-'): label for label, name in enumerate(CLASSES)}
    if present and all(len(name) == 1 for name in present):
        raise SeMmError(
            f'{folder} holds letters ({listed(sorted(present), _SHOWN)}), not classes: it is an archive in the '
            f'official form; put it at data_256, beside {LISTS["train-standard"]}'
        )
    unknown, missing = sorted(present - set(wanted)), [name for name in wanted if name not in present]
    if unknown:
        raise SeMmError(f'{folder} has folders that are no class of Places365: {listed(unknown, _SHOWN)}')
    if missing:
        raise SeMmError(f'{folder} lacks {len(missing)} of the 365 classes: {listed(missing, _SHOWN)}')
    paths, labels = [], []
    for name, label in wanted.items():
        inside = sorted(
            f'{name}/{e.name}' for e in os.scandir(folder / name) if e.name.lower().endswith(IMAGE_SUFFIXES)
        )
        if not inside:
            raise SeMmError(f'{folder / name} holds no picture ({", ".join(IMAGE_SUFFIXES)})')
        paths += inside
        labels += [label] * len(inside)
    return ImageList.of_paths(paths, labels)


def _read_list(layout: Layout, split: str) -> ImageList:
    images = ImageList.read(layout.list_file, None if split == 'test' else len(CLASSES))
    if split != 'test':
        missing = np.flatnonzero(np.bincount(images.labels, minlength=len(CLASSES)) == 0)
        if len(missing):
            names = listed([CLASSES[label] for label in missing], _SHOWN)
            raise SeMmError(f'{layout.list_file} has no image of {len(missing)} of the 365 classes: {names}')
    if split.startswith('train'):
        for label, indices in _by_label(images.labels):
            _check_folder(images, layout, label, indices)
    images.forget_pages()
    return images


def _by_label(labels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    is_sorted = (labels[1:] >= labels[:-1]).all()  # as the official lists are
    order = None if is_sorted else np.argsort(labels, kind='stable').astype(np.uint32)
    bounds = np.searchsorted(labels, np.arange(len(CLASSES) + 1), sorter=order)
    for label in range(len(CLASSES)):
        begin, end = bounds[label], bounds[label + 1]
        yield label, np.arange(begin, end) if order is None else order[begin:end]


def _check_folder(images: ImageList, layout: Layout, label: int, indices: np.ndarray) -> None:
    prefix = f'{FOLDERS[label]}/'
    fits = images.begins_with(prefix, indices)
    if not fits.all():
        odd = int(indices[np.flatnonzero(~fits)[0]])
        raise SeMmError(
            f'{layout.list_file}, line {images.line(odd)}: {images.path(odd)!r} has the label {label}, '
            f'whose folder is {prefix}'
        )
    if not Path(layout.images, prefix[1:]).is_dir():
        first = int(indices[0])
        raise SeMmError(
            f'{layout.list_file}, line {images.line(first)}: {images.path(first)!r} is in a folder that is missing '
            f'({Path(layout.images, prefix[1:]).absolute()})'
        )
