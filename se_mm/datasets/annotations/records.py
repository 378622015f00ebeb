"""What every format is read into: pictures, and the objects in them as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ...errors import SeMmError, listed

#: Of what was found so many are named.
SHOWN = 3


class PredictionsError(SeMmError):
    """A file that looks like annotations holds predictions."""


class Finding(NamedTuple):
    """Something odd in annotations, and what becomes of it.

    Attributes:
        outcome: ``'kept'``, ``'mended'`` or ``'left out'``; what is refused is an error.
        what: such as ``'with an inverted box'``.
        where: the names of all objects, pictures or files.
        kind: what these are.
    """

    outcome: str
    what: str
    where: Sequence[str]
    kind: str = 'object'

    def __str__(self) -> str:
        plural = '' if len(self.where) == 1 else 's'
        return f'{self.outcome}: {len(self.where)} {self.kind}{plural} {self.what} ({listed(self.where, SHOWN)})'


class Object(NamedTuple):
    """An object of a class, its box as x1, y1, x2, y2 in pixels from 0.

    Those that are ``difficult`` become COCO's crowd, which is neither trained on nor counted; a ``mask`` is COCO's
    segmentation; ``turned`` are degrees about the middle of the box.
    """

    name: str
    corners: Sequence[float]
    difficult: bool = False
    mask: Any = None
    turned: float = 0.0


@dataclass
class Picture:
    """A picture and its objects.

    Attributes:
        file: relative to the root, with ``/``.
        objects: what the annotation says, before it is checked.
        split: ``'train'``, ``'val'``, ``'test'``, or ``None`` where it is not declared.
        size: width and height that the annotation gives, if it does.
        source: the file of the annotation; ``''`` for a picture that has none and shows nothing.
    """

    file: str
    objects: list[Object] = field(default_factory=list)
    split: str | None = None
    size: tuple[int, int] = (0, 0)
    source: str = ''


@dataclass
class Records:
    """A set of pictures (P) and objects (N).

    Attributes:
        classes: their names.
        files: of the pictures, relative to the root.
        sizes: (P, 2) int, width and height as annotated; 0 where that is not said.
        splits: as in :class:`Picture`.
        sources: the annotation file of each picture.
        picture: (N,) int, the index of each object's picture; -1: none that is listed.
        label: (N,) int, into ``classes``; -1: none of them.
        boxes: (N, 4) float, x, y, width, height in pixels from 0; not a number where there is no box.
        crowd: (N,) bool, COCO's ``iscrowd``.
        ignored: (N,) bool, which mmdet does not train on and pycocotools counts.
        masks: COCO's segmentations, ``None`` where there is none.
        area: (N,) float, of each object; of its box where the format has none.
        ids: of the objects, pictures and classes as COCO names them; empty: they are counted from 1.
    """

    classes: list[str]
    files: list[str]
    sizes: np.ndarray
    splits: list[str | None]
    sources: list[str]
    picture: np.ndarray
    label: np.ndarray
    boxes: np.ndarray
    crowd: np.ndarray
    ignored: np.ndarray
    masks: list[Any]
    area: np.ndarray
    ids: list[Any] = field(default_factory=list)
    picture_ids: list[Any] = field(default_factory=list)
    class_ids: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, pictures: Sequence[Picture], classes: Sequence[str] | None = None) -> Records:
        """The records of pictures; without ``classes`` those of their objects, sorted."""
        objects = [entry for picture in pictures for entry in picture.objects]
        names = list(classes) if classes is not None else sorted({entry.name for entry in objects if entry.name})
        labels = {name: i for i, name in enumerate(names)}
        boxes = np.array([entry.corners for entry in objects], float).reshape(-1, 4)
        boxes[:, 2:] -= boxes[:, :2]
        records = cls(
            names,
            [picture.file for picture in pictures],
            np.array([picture.size for picture in pictures], int).reshape(-1, 2),
            [picture.split for picture in pictures],
            [picture.source for picture in pictures],
            np.repeat(np.arange(len(pictures)), [len(picture.objects) for picture in pictures]),
            np.array([labels.get(entry.name, -1) for entry in objects], int),
            boxes,
            np.array([entry.difficult for entry in objects], bool),
            np.zeros(len(objects), bool),
            [entry.mask for entry in objects],
            np.zeros(len(objects)),
        )
        records.turn(np.array([entry.turned for entry in objects], float))
        records.area = records.boxes[:, 2] * records.boxes[:, 3]
        return records

    @classmethod
    def together(cls, parts: Sequence[Records]) -> Records:
        """Records of several files as one; classes of one name are one."""
        classes = list(dict.fromkeys(name for part in parts for name in part.classes))
        starts = np.cumsum([0, *(len(part.files) for part in parts)])[:-1]
        labels = [np.array([*(classes.index(name) for name in part.classes), -1], int)[part.label] for part in parts]
        owners = [
            np.where(part.picture < 0, -1, part.picture + start) for part, start in zip(parts, starts, strict=True)
        ]
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ('sizes', 'boxes', 'crowd', 'ignored', 'area')
        }
        lists = {
            name: [value for part in parts for value in getattr(part, name)]
            for name in ('files', 'splits', 'sources', 'masks')
        }
        return cls(classes=classes, picture=np.concatenate(owners), label=np.concatenate(labels), **columns, **lists)

    def turn(self, degrees: np.ndarray) -> None:
        """Boxes that are turned about their middles become the upright boxes around them."""
        cos, sin = np.abs(np.cos(np.radians(degrees))), np.abs(np.sin(np.radians(degrees)))
        width, height = self.boxes[:, 2:].T
        sides = np.stack([width * cos + height * sin, width * sin + height * cos], 1)
        hulls = np.concatenate([self.boxes[:, :2] + (self.boxes[:, 2:] - sides) / 2, sides], 1).round(3)
        self.boxes = np.where(degrees[:, None] % 180 != 0, hulls, self.boxes)

    def name(self, index: int) -> str:
        """An object, for the user."""
        picture = self.picture[index]
        where = self.files[picture] if picture >= 0 else 'an image that is not listed'
        if self.ids:
            return f'annotation {self.ids[index]} of {where}'
        label = self.classes[self.label[index]] if self.label[index] >= 0 else '?'
        return f'{where}: {label} {tuple(round(float(value), 3) for value in self.boxes[index])}'

    def keep_objects(self, kept: np.ndarray) -> None:
        """Takes all other objects out; ``kept`` is (N,) bool."""
        if not kept.all():
            self._take_objects(np.flatnonzero(kept))

    def _take_objects(self, chosen: np.ndarray) -> None:
        for name in ('picture', 'label', 'boxes', 'crowd', 'ignored', 'area'):
            setattr(self, name, getattr(self, name)[chosen])
        self.masks = [self.masks[i] for i in chosen]
        self.ids = [self.ids[i] for i in chosen] if self.ids else []

    def keep_pictures(self, kept: np.ndarray) -> None:
        """Takes all other pictures out, with their objects; ``kept`` is (P,) bool."""
        if not kept.all():
            self.take_pictures(np.flatnonzero(kept))

    def take_pictures(self, chosen: np.ndarray) -> None:
        """Leaves the pictures of these indices, in this order, and their objects in the order of the pictures."""
        places = np.full(len(self.files) + 1, -1)
        places[chosen] = np.arange(len(chosen))
        self.keep_objects((places[self.picture] >= 0) | (self.picture < 0))
        self.picture = places[self.picture]
        self._take_objects(np.argsort(self.picture, kind='stable'))
        self.sizes = self.sizes[chosen]
        for name in ('files', 'splits', 'sources', 'picture_ids'):
            setattr(self, name, [getattr(self, name)[i] for i in chosen] if getattr(self, name) else [])

    def merge(self, keys: Sequence[str]) -> list[Finding]:
        """Makes pictures of one key one picture with all of their objects, each once.

        Args:
            keys: of the pictures, such as their real files.

        Returns:
            Which pictures were there more than once.

        Raises:
            SeMmError: if the records do not agree: on the size, the split, or, where they are of
                several files, the objects.
        """
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        if len(first) == len(keys):
            return []
        groups: dict[int, list[int]] = {}
        for i, key in enumerate(keys):
            groups.setdefault(first[key], []).append(i)
        order = np.argsort(self.picture, kind='stable')
        starts = np.searchsorted(self.picture[order], np.arange(len(keys) + 1))
        objects = [order[starts[i] : starts[i + 1]] for i in range(len(keys))]
        self.picture, self.sizes = self.picture.copy(), self.sizes.copy()
        self.files, self.splits, self.sources = list(self.files), list(self.splits), list(self.sources)
        kept, kept_objects, same = np.ones(len(keys), bool), np.ones(len(order), bool), []
        for group in (group for group in groups.values() if len(group) > 1):
            self._refuse_other(group, objects)
            seen = {self._values(index) for index in objects[group[0]]}
            for i in group[1:]:
                for index in objects[i]:
                    kept_objects[index] = self._values(index) not in seen
                seen |= {self._values(index) for index in objects[i]}
                self.picture[objects[i]] = group[0]
                kept[i] = False
            with_source = next((i for i in group if self.sources[i]), group[0])
            self.files[group[0]], self.sources[group[0]] = self.files[with_source], self.sources[with_source]
            self.sizes[group[0]] = self.sizes[group].max(0)
            self.splits[group[0]] = next((self.splits[i] for i in group if self.splits[i]), None)
            same.append(self.files[group[0]])
        self.keep_objects(kept_objects)
        self.keep_pictures(kept)
        return [Finding('mended', 'listed more than once: one, with all of its objects', same, 'picture')]

    def _values(self, index: int) -> tuple[float, ...]:
        return (int(self.label[index]), *self.boxes[index].tolist())

    def _refuse_other(self, group: Sequence[int], objects: Sequence[np.ndarray]) -> None:
        names = listed(list(dict.fromkeys(self.files[i] for i in group)), SHOWN)
        for what, values in (
            ('sizes', {tuple(self.sizes[i].tolist()) for i in group} - {(0, 0)}),
            ('splits', {self.splits[i] for i in group} - {None}),
        ):
            if len(values) > 1:
                raise SeMmError(f'{names}: one picture, and its records have different {what}: {sorted(values)}')
        sources = [self.sources[i] for i in group if self.sources[i]]
        sets = [{self._values(index) for index in objects[i]} for i in group if self.sources[i]]
        if len(set(sources)) > 1 and any(values != sets[0] for values in sets):
            raise SeMmError(
                f'{" and ".join(dict.fromkeys(sources))} both annotate {names}, and not alike; move one of them away'
            )


@dataclass
class Reading:
    """A data set as a reader found it.

    Attributes:
        what: the format, for one line to the user.
        records: all that is annotated.
        files: how many annotation files there are.
        broken: annotation files or pictures that cannot be used, with the reason.
        notes: what the user should know about the format.
        findings: what was odd.
    """

    what: str
    records: Records
    files: int = 1
    broken: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    #: The supercategory of each class, where the format has them.
    parents: list[Any] = field(default_factory=list)
