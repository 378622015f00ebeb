"""Pascal VOC's XML: a file for each picture, in one folder or as VOCdevkit.

Coordinates count from 1; mmdet's ``XMLDataset`` subtracts 1 from all four, and so does this.
``supervision`` reads the format too, but loses what ``difficult`` says and the splits of
``ImageSets``, turns inverted boxes around, and ends at one broken file without its name.
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from .pictures import IMAGE_SUFFIXES, PictureIndex, files_below
from .records import Object, Picture, Reading, Records
from .splits import split_of

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
    pictures, broken, unlisted = [], [], 0
    lists = {folder: _splits(root / folder) for folder in {PurePosixPath(file).parent.parent for file in files}}
    for file in files:
        try:
            name, size, objects = parse(root / file)
        except ValueError as error:
            broken.append((file, str(error)))
            continue
        stem, split = PurePosixPath(file).stem, split_of(file)
        picture = index.find(f'{stem}{PurePosixPath(name).suffix}', file, split) or index.find(
            name or stem, file, split
        )
        if picture is None:
            broken.append((file, f'names the picture {name or stem}: {index.why_not(name or stem)}'))
            continue
        listed = lists[PurePosixPath(file).parent.parent]
        if listed and stem not in listed:
            unlisted += 1
            continue
        split = listed.get(stem) if listed else split_of(picture) or split
        pictures.append(Picture(picture, objects, split, size, file))
    reading = Reading('Pascal VOC XML', Records.of(pictures), len(files), broken)
    reading.notes.append('coordinates count from 1, as in mmdet: 1 is subtracted from all')
    if any(lists.values()):
        reading.notes.append('splits as ImageSets/Main says' + (f'; {unlisted} files in none' if unlisted else ''))
    return reading


def _splits(folder: Path) -> dict[str, str]:
    """The split of each stem by the lists of a year's folder, whose lines may be names or paths of pictures."""
    sets = folder / 'ImageSets' / 'Main'
    for names in _LISTS:
        files = {split: sets / f'{name}.txt' for split, name in names.items()}
        if all(file.is_file() for file in files.values()):
            lines = [
                (line, split)
                for split, file in files.items()
                for line in file.read_text(encoding='utf-8-sig').splitlines()
                if line.strip()
            ]
            # A stem may have spaces, and a class's list has a number behind it.
            words = {_stem(line.split()[0]): split for line, split in lines}
            return words | {_stem(line.strip()): split for line, split in lines}
    return {}


def _stem(name: str) -> str:
    path = PurePosixPath(name.replace('\\', '/'))
    return path.stem if path.suffix.lower() in (*IMAGE_SUFFIXES, '.xml') else path.name


def parse(file: Path) -> tuple[str, tuple[int, int], list[Object]]:
    """The picture's name and size (0, 0 where it is not said), and the objects.

    Raises:
        ValueError: for a file that lacks what it needs, with the reason.
    """
    try:
        root = ElementTree.parse(file).getroot()
        if root.tag != 'annotation':
            raise ValueError(f'its first element is <{root.tag}>, not <annotation>')
        sides = [root.findtext(f'size/{side}') for side in ('width', 'height')]
        size = (int(float(sides[0])), int(float(sides[1]))) if all(sides) else (0, 0)
        objects = [_object(entry, i) for i, entry in enumerate(root.findall('object'), start=1)]
    except (ElementTree.ParseError, ValueError, OverflowError, LookupError, OSError) as error:
        empty = file.is_file() and not file.stat().st_size
        raise ValueError('is empty (0 bytes)' if empty else f'cannot be read: {error}') from error
    return (root.findtext('filename') or '').strip(), size if min(size) > 0 else (0, 0), objects


def _object(entry: ElementTree.Element, number: int) -> Object:
    name = (entry.findtext('name') or '').strip()
    if not name:
        raise ValueError(f'object {number} has no name')
    corners = [entry.findtext(f'bndbox/{side}') for side in ('xmin', 'ymin', 'xmax', 'ymax')]
    if None in corners:
        raise ValueError(f'object {number} ({name}) has no bndbox with xmin, ymin, xmax and ymax')
    attributes = {a.findtext('name'): a.findtext('value') for a in entry.iterfind('attributes/attribute')}
    turned = float(attributes.get('rotation') or 0)
    return Object(name, [*map(_from_zero, corners)], (entry.findtext('difficult') or '').strip() == '1', turned=turned)


def _from_zero(text: str) -> float:
    """A coordinate as a whole pixel from 0, as mmdet reads it."""
    value = float(text)
    return int(value) - 1 if math.isfinite(value) else value
