"""YOLO's text: a line of ``class x y width height`` for each box, as shares of the picture, or a polygon."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ...config.coco_layout import SPLIT_NAMES, files_below, split_of
from ...errors import SeMmError
from .annotated import Box, Picture, PictureIndex, Reading, picture_size

_NAME_FILES = ('data.yaml', 'data.yml', 'dataset.yaml', 'classes.txt', 'obj.names', 'labels/classes.txt')


def read(root: Path, index: PictureIndex) -> Reading | None:
    """The YOLO data set below a folder; ``None`` where no picture has a text file of boxes."""
    texts = set(files_below(root, ('.txt',)))
    labels = {picture: label for picture in index.files if (label := _label_of(picture, texts))}
    # One that does not begin as a label is a broken label, if others of its folder are labels.
    filled = [label for label in labels.values() if (root / label).stat().st_size]
    of_labels = {PurePosixPath(label).parent for label in filled if _is_label(root / label)}
    if not of_labels:
        return None
    labels = {picture: label for picture, label in labels.items() if PurePosixPath(label).parent in of_labels}
    folders = {PurePosixPath(picture).parent for picture in labels}
    names, said, listed = _names(root)
    places = {line: index.find(line, near=line) or line for line in listed}  # a list may have absolute paths
    listed = {file: listed[line] for line, file in places.items() if file.endswith(line) or line.endswith(file)}
    reading = Reading('YOLO text', files=len(labels), notes=[said])
    background, used = 0, 0
    for picture in index.files:
        if PurePosixPath(picture).parent not in folders:
            continue
        entry = Picture(picture, split=listed.get(picture) or split_of(picture))
        reading.pictures.append(entry)
        if picture not in labels:
            background += 1
            continue
        try:
            width, height = picture_size(root / picture)
        except Exception:  # a broken picture, which is named where all of them are looked at
            continue
        try:
            entry.boxes = [
                _box(line, width, height, names)
                for line in (root / labels[picture]).read_text(encoding='utf-8-sig').splitlines()
                if line.strip()
            ]
        except (ValueError, UnicodeDecodeError) as error:
            reading.broken.append((labels[picture], f'cannot be read: {error}'))
            reading.pictures.pop()
        used = max([used, *(int(box.name) + 1 for box in entry.boxes if names is None)])
    if names is None:
        for entry in reading.pictures:
            entry.boxes = [box._replace(name=f'class_{box.name}') for box in entry.boxes]
        names = [f'class_{i}' for i in range(used)]
    if background:
        reading.notes.append(f'{background} pictures without a text file: they show nothing')
    reading.classes = names
    return reading


def _label_of(picture: str, texts: set[str]) -> str | None:
    """The text file of a picture: below ``labels`` in the place of ``images``, or beside it."""
    path = PurePosixPath(picture).with_suffix('.txt')
    parts = list(path.parts)
    candidates = [path]
    if 'images' in parts:
        last = len(parts) - 1 - parts[::-1].index('images')
        candidates.insert(0, PurePosixPath(*parts[:last], 'labels', *parts[last + 1 :]))
    candidates.append(path.parent / 'labels' / path.name)
    return next((str(candidate) for candidate in candidates if str(candidate) in texts), None)


def _is_label(file: Path) -> bool:
    """Whether its first line is blank, or begins with the number of a class and is long enough."""
    try:
        with file.open(encoding='utf-8-sig') as stream:
            words = stream.readline().split()
    except UnicodeDecodeError:
        return False
    return not words or (len(words) >= 5 and words[0].isdigit())


def _box(line: str, width: int, height: int, names: list[str] | None) -> Box:
    """A box in pixels.

    Example:
        >>> _box('0 0.5 0.5 0.25 0.5', 80, 40, ['cell'])
        Box(name='cell', corners=(30.0, 10.0, 50.0, 30.0), ...)
    """
    words = line.split()
    number = int(words[0])
    if names is not None and not 0 <= number < len(names):
        raise ValueError(f'class {number} is unknown, there are {len(names)} names')
    values = [float(word) for word in words[1:]]
    name = str(number) if names is None else names[number]
    if len(values) in (4, 5):  # a fifth is the score of a prediction
        x, y, w, h = (value * side for value, side in zip(values, (width, height) * 2, strict=False))
        corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        return Box(name, tuple(round(value, 3) for value in corners))
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f'a line of {len(words)} words; expected class x y width height, or a polygon')
    polygon = [round(value * side, 3) for value, side in zip(values, (width, height) * (len(values) // 2), strict=True)]
    xs, ys = polygon[::2], polygon[1::2]
    return Box(name, (min(xs), min(ys), max(xs), max(ys)), fields={'segmentation': [polygon]})


def _names(root: Path) -> tuple[list[str] | None, str, dict[str, str]]:
    """The names of the classes, where they come from, and the splits of the pictures that list files name."""
    file = next((root / name for name in _NAME_FILES if (root / name).is_file()), None)
    if file is None:
        return None, 'no data.yaml or classes.txt: the classes are class_0, class_1, ...', {}
    if file.suffix not in ('.yaml', '.yml'):
        lines = file.read_text(encoding='utf-8-sig').splitlines()
        return [line.strip() for line in lines if line.strip()], f'classes of {file.name}', {}
    try:
        content: Any = yaml.safe_load(file.read_text()) or {}
    except yaml.YAMLError as error:
        return None, f'{file.name} cannot be read ({str(error).splitlines()[0]}): classes are class_0, ...', {}
    names = content.get('names') if isinstance(content, dict) else None
    if isinstance(names, dict):
        if odd := [key for key in names if not isinstance(key, int)]:
            raise SeMmError(f'{file}: names maps {odd[0]!r}; expected numbers to names, as 0: cat')
        names = [str(names.get(i, f'class_{i}')) for i in range(1 + max(names, default=-1))]
    splits: dict[str, str] = {}
    for key, split in SPLIT_NAMES.items():
        lines = content.get(key) if isinstance(content, dict) else None
        if isinstance(lines, str) and lines.endswith('.txt') and (root / lines).is_file():
            splits |= {line.strip().removeprefix('./'): split for line in (root / lines).open()}
    if not names:
        return None, f'{file.name} has no names: the classes are class_0, class_1, ...', splits
    return [str(name) for name in names], f'classes of {file.name}', splits
