"""Which pictures of a data set are analysed, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import SeMmError, listed

#: COCO's sizes of boxes, and the areas in pixels of the picture that divide them.
SIZES = ('small', 'medium', 'large')
_AREAS = (32**2, 96**2)


@dataclass(frozen=True)
class Pictures:
    """N pictures of a data set and what is annotated in them."""

    #: In the data set, (N,).
    indices: np.ndarray
    files: list[str]
    #: Of the K classes.
    class_names: list[str]
    #: (N, K) bool: the class of each picture, or which classes it has boxes of.
    classes: np.ndarray
    #: (N, 3) bool, which of :data:`SIZES` its boxes have; ``None`` for a classifier.
    sizes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.indices)


def pictures_of(dataset: Any) -> Pictures:
    """All pictures of a data set of mmdet or mmpretrain, from its annotations; no picture is read.

    Raises:
        SeMmError: if it is empty, has no classes, or its pictures have no labels.
    """
    names = [str(name) for name in (dataset.metainfo.get('classes') or ())]
    if not len(dataset):
        raise SeMmError('the data set is empty: there is no picture to analyse')
    if not names:
        raise SeMmError(
            f'{type(dataset).__name__} does not name its classes; set metainfo=dict(classes=(...)) in the config'
        )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    files = [str(info.get('img_path', i)) for i, info in enumerate(infos)]
    classes = np.zeros((len(infos), len(names)), dtype=bool)
    sizes = None
    if all('instances' in info for info in infos):
        sizes = np.zeros((len(infos), len(SIZES)), dtype=bool)
        for i, info in enumerate(infos):
            for instance in info['instances']:
                if not instance.get('ignore_flag'):
                    x1, y1, x2, y2 = instance['bbox']
                    classes[i, instance['bbox_label']] = True
                    sizes[i, np.digitize(max(x2 - x1, 0) * max(y2 - y1, 0), _AREAS)] = True
    elif all('gt_label' in info for info in infos):
        for i, info in enumerate(infos):
            classes[i, np.asarray(info['gt_label'], dtype=np.int64)] = True
    else:
        raise SeMmError(f'{type(dataset).__name__} has pictures without labels; the analysis compares classes')
    return Pictures(np.arange(len(infos)), files, names, classes, sizes)


def choose_pictures(pictures: Pictures, per_class: int, seed: int) -> tuple[Pictures, list[str]]:
    """So many pictures of each class, at random; a picture with several classes counts for each of them.

    Returns:
        The pictures, in the order of the data set, and what the user should know of them.

    Raises:
        SeMmError: if ``per_class`` is below 1, or no picture has a class.
    """
    if per_class < 1:
        raise SeMmError(f'--per-class is {per_class}; expected the number of pictures of each class, 1 or more')
    generator = np.random.default_rng(seed)
    found, fewer = set(), []
    for label, name in enumerate(pictures.class_names):
        members = np.flatnonzero(pictures.classes[:, label])
        if len(members) < per_class:
            fewer.append(f'{name} {len(members)}')
        found.update(generator.permutation(members)[:per_class].tolist())
    if not found:
        raise SeMmError(
            f'none of the {len(pictures)} pictures has one of the classes {listed(pictures.class_names, 5)}; '
            'look at the annotations and at --data-root'
        )
    chosen = np.array(sorted(found))
    notes = [f'fewer pictures than --per-class {per_class}, all are used: {listed(fewer, 8)}'] if fewer else []
    part = replace(
        pictures,
        indices=pictures.indices[chosen],
        files=[pictures.files[i] for i in chosen],
        classes=pictures.classes[chosen],
        sizes=None if pictures.sizes is None else pictures.sizes[chosen],
    )
    return part, notes


def check_classes(wanted: Sequence[str] | None, names: Sequence[str], classes: np.ndarray) -> list[str]:
    """The classes that are drawn: those that are wanted, else up to four, evenly spaced among those with pictures.

    Raises:
        SeMmError: for a name that is no class, or one without pictures.

    Example:
        >>> check_classes(None, ['cat', 'dog', 'owl'], np.eye(3, dtype=bool)[:2])
        ['cat', 'dog']
    """
    present = [name for name, count in zip(names, classes.sum(0), strict=True) if count]
    if wanted is None:
        places = np.linspace(0, len(present) - 1, min(len(present), 4)).round().astype(int)
        return [present[i] for i in places]
    missing = [name for name in wanted if name not in present]
    if missing:
        raise SeMmError(f'--classes: no picture has {listed(missing)}; those with pictures are {listed(present, 12)}')
    return list(dict.fromkeys(wanted))
