"""Where a folder keeps its COCO files and their pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..errors import SeMmError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
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
#: COCO's own files of other tasks, which have no boxes to train on.
_OTHER_TASKS = ('captions', 'person_keypoints', 'panoptic', 'stuff', 'image_info')
#: Pictures that are looked for to find their folder.
_TRIED = 5


class CocoFile(NamedTuple):
    """A COCO annotation file below a root.

    Attributes:
        file: relative to the root.
        images: the folder of its pictures, relative to the root; ``''``: the root.
        classes: in the order of its categories.
        has_masks: whether an annotation has a segmentation.
        count: of pictures.
    """

    file: str
    images: str
    classes: tuple[str, ...]
    has_masks: bool
    count: int


def files_below(root: Path, suffixes: Sequence[str]) -> list[str]:
    """Files with some suffixes, relative to the root and sorted; what is hidden is passed over."""
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith('.')]
        below = Path(folder).relative_to(root)
        found += [
            (below / name).as_posix() for name in names if name.lower().endswith(tuple(suffixes)) and name[0] != '.'
        ]
    return sorted(found)


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


def find_coco(root: str | Path) -> dict[str | None, CocoFile]:
    """The COCO files with boxes below a folder, by split.

    Files that ``tools/prepare_data.py`` wrote (``annotations/instances_*.json``) come before others.

    Returns:
        A file for each of ``'train'``, ``'val'`` and ``'test'`` that is there; under ``None`` one
        whose name does not say its split.

    Raises:
        SeMmError: if the pictures of a file are nowhere below the root.
    """
    root = Path(root)
    found: dict[str | None, CocoFile] = {}
    for name in coco_candidates(root):
        split = split_of(name)
        file = None if split in found else _coco_file(root, name)
        if file:
            found[split] = file
    return found


def coco_files(root: Path) -> list[CocoFile]:
    """All COCO files with boxes below a folder, in the order of :func:`find_coco`.

    Raises:
        SeMmError: as there.
    """
    return [file for name in coco_candidates(root) if (file := _coco_file(root, name))]


def coco_candidates(root: Path) -> list[str]:
    """The JSON files below a folder that may be COCO's, those of ``tools/prepare_data.py`` first."""
    names = [name for name in files_below(root, ('.json',)) if name.count('/') <= 2]
    names = [name for name in names if not PurePosixPath(name).name.startswith(_OTHER_TASKS)]
    return sorted(names, key=lambda name: not name.startswith('annotations/instances_'))


def _coco_file(root: Path, name: str) -> CocoFile | None:
    content = read_coco(root / name)
    return content and CocoFile(
        name,
        images_folder(root, name, content),
        tuple(str(category['name']) for category in content['categories']),
        any(annotation.get('segmentation') for annotation in content['annotations']),
        len(content['images']),
    )


def read_coco(file: Path) -> dict[str, Any] | None:
    """The content of a COCO file with boxes; ``None`` for any other JSON."""
    try:
        content = json.loads(file.read_bytes())
        if not all(isinstance(content[key], list) for key in ('images', 'annotations', 'categories')):
            return None
        whole = all('file_name' in image for image in content['images']) and content['categories']
        boxes = all('bbox' in annotation for annotation in content['annotations'][:_TRIED])
        named = all('name' in category for category in content['categories'])
        return content if content['images'] and whole and boxes and named else None
    except (ValueError, OSError, KeyError, TypeError, RecursionError):
        return None


def images_folder(root: Path, file: str, content: dict[str, Any]) -> str:
    """The folder, relative to the root, in which the pictures of a COCO file are.

    Raises:
        SeMmError: if there is none.
    """
    images = content['images']
    some = [str(images[i * (len(images) - 1) // _TRIED]['file_name']) for i in range(_TRIED + 1)]
    split = split_of(file)
    folders = ['', PurePosixPath(file).parent.as_posix(), 'images', 'train2017', 'val2017']
    folders += [f'{a}/{b}' for b in ('train', 'val', 'valid', 'test') for a in ('images', '.')]
    folders += sorted(Path(folder).relative_to(root).as_posix() for folder, _, _ in os.walk(root))
    folders.sort(key=lambda folder: split_of(f'{folder}/x') != split)  # of pictures of one name, those of the split
    for folder in dict.fromkeys('' if folder == '.' else folder for folder in folders):
        if any((root / folder / name).is_file() for name in some):
            return PurePosixPath(folder).as_posix() if folder else ''
    raise SeMmError(
        f'{root / file} names pictures such as {some[0]}, which are nowhere below {root.absolute()}; put them there'
    )
