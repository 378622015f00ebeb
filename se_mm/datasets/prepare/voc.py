"""Pascal VOC's XML: a file for each picture, in one folder or as VOCdevkit.

Coordinates count from 1; mmdet's ``XMLDataset`` subtracts 1 from all four, and so does this.
``supervision`` reads the format too, but loses what ``difficult`` says and the splits of
``ImageSets``, turns inverted boxes around, and ends at one broken file without its name.
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from ...config.coco_layout import files_below, split_of
from .annotated import Box, Picture, PictureIndex, Reading

#: The list files of ``ImageSets/Main`` that make the splits, the first that are all there.
_LISTS = (
    {'train': 'train', 'val': 'val', 'test': 'test'},
    {'train': 'train', 'val': 'val'},
    {'train': 'trainval', 'val': 'test'},
    {'train': 'train', 'val': 'test'},
)


def read(root: Path, index: PictureIndex) -> Reading | None:
    """The VOC data set below a folder; ``None`` where there is no XML."""
    files = files_below(root, ('.xml',))
    if not files:
        return None
    reading = Reading('Pascal VOC XML', files=len(files))
    reading.notes.append('coordinates count from 1, as in mmdet: 1 is subtracted from all')
    lists = {folder: _splits(root / folder) for folder in {PurePosixPath(file).parent.parent for file in files}}
    for file in files:
        try:
            name, size, boxes = _parse(root / file)
        except (ElementTree.ParseError, ValueError, OverflowError, LookupError, OSError) as error:
            empty = not (root / file).stat().st_size
            reading.broken.append((file, 'is empty (0 bytes)' if empty else f'cannot be read: {error}'))
            continue
        stem = PurePosixPath(file).stem
        picture = index.find(f'{stem}{PurePosixPath(name).suffix}', file) or index.find(name or stem, file)
        if picture is None:
            reading.broken.append((file, f'names the picture {name or stem}: {index.why_not(name or stem)}'))
            continue
        listed = lists[PurePosixPath(file).parent.parent]
        if listed and stem not in listed:
            continue
        split = listed.get(stem) if listed else split_of(picture) or split_of(file)
        reading.pictures.append(Picture(picture, boxes, split, size))
    if any(lists.values()):
        unlisted = len(files) - len(reading.broken) - len(reading.pictures)
        reading.notes.append('splits as ImageSets/Main says' + (f'; {unlisted} files in none' if unlisted else ''))
    return reading


def _splits(folder: Path) -> dict[str, str]:
    """The split of each stem by the lists of a year's folder."""
    sets = folder / 'ImageSets' / 'Main'
    for names in _LISTS:
        files = {split: sets / f'{name}.txt' for split, name in names.items()}
        if all(file.is_file() for file in files.values()):
            lines = [(line, split) for split, file in files.items() for line in file.open() if line.strip()]
            # A stem may have spaces, and a class's list has a number behind it.
            return {line.split()[0]: split for line, split in lines} | {line.strip(): split for line, split in lines}
    return {}


def _parse(file: Path) -> tuple[str, tuple[int, int] | None, list[Box]]:
    """The picture's name and size, and the boxes.

    Raises:
        ValueError: for a file that lacks what it needs.
    """
    root = ElementTree.parse(file).getroot()
    if root.tag != 'annotation':
        raise ValueError(f'its first element is <{root.tag}>, not <annotation>')
    sides = [root.findtext(f'size/{side}') for side in ('width', 'height')]
    size = (int(float(sides[0])), int(float(sides[1]))) if all(sides) else None
    boxes = []
    for i, entry in enumerate(root.findall('object')):
        name = (entry.findtext('name') or '').strip()
        if not name:
            raise ValueError(f'object {i + 1} has no name')
        corners = [entry.findtext(f'bndbox/{side}') for side in ('xmin', 'ymin', 'xmax', 'ymax')]
        if None in corners:
            raise ValueError(f'object {i + 1} ({name}) has no bndbox with xmin, ymin, xmax and ymax')
        x1, y1, x2, y2 = map(_from_zero, corners)
        boxes.append(Box(name, (x1, y1, x2, y2), (entry.findtext('difficult') or '0').strip() == '1'))
    return (root.findtext('filename') or '').strip(), size, boxes


def _from_zero(text: str) -> float:
    """A coordinate as a whole pixel from 0, as mmdet reads it."""
    value = float(text)
    return int(value) - 1 if math.isfinite(value) else value
