"""YOLO's text: a line of ``class x y width height`` for each box, as shares of the picture, or a polygon."""

from __future__ import annotations

from collections import Counter
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
    file = next((root / name for name in _NAME_FILES if (root / name).is_file()), None)
    content = _content(file)
    names, said = _names(file, content)
    splits = _splits(root, content, index)
    has_keypoints = 'kpt_shape' in content
    reading = Reading('YOLO text', files=len(labels), notes=[said])
    background, used = 0, 0
    for picture in index.files:
        if PurePosixPath(picture).parent not in folders:
            continue
        entry = Picture(picture, split=splits.get(picture) or split_of(picture))
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
                _box(line, width, height, names, has_keypoints)
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


def _box(line: str, width: int, height: int, names: list[str] | None, has_keypoints: bool = False) -> Box:
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
    if len(values) in (4, 5) or has_keypoints:  # a fifth is the score of a prediction
        x, y, w, h = (value * side for value, side in zip(values, (width, height) * 2, strict=False))
        corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        return Box(name, tuple(round(value, 3) for value in corners))
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f'a line of {len(words)} words; expected class x y width height, or a polygon')
    polygon = [round(value * side, 3) for value, side in zip(values, (width, height) * (len(values) // 2), strict=True)]
    xs, ys = polygon[::2], polygon[1::2]
    return Box(name, (min(xs), min(ys), max(xs), max(ys)), fields={'segmentation': [polygon]})


def _content(file: Path | None) -> dict[str, Any]:
    """What ``data.yaml`` says; nothing where there is none.

    Raises:
        SeMmError: if it is no YAML, or no mapping.
    """
    if file is None or file.suffix not in ('.yaml', '.yml'):
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding='utf-8-sig'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SeMmError(f'{file} cannot be read: {error}') from error
    if not isinstance(content or {}, dict):
        raise SeMmError(f'{file} is a {type(content).__name__}; expected a mapping with names, train and val')
    return content or {}


def _names(file: Path | None, content: dict[str, Any]) -> tuple[list[str] | None, str]:
    """The names of the classes, and where they come from."""
    if file is None:
        return None, 'no data.yaml or classes.txt: the classes are class_0, class_1, ...'
    if file.suffix not in ('.yaml', '.yml'):
        lines = file.read_text(encoding='utf-8-sig').splitlines()
        names = [line.strip() for line in lines if line.strip()]
    else:
        names = content.get('names') or []
        if isinstance(names, dict):
            if odd := [key for key in names if not isinstance(key, int)]:
                raise SeMmError(f'{file}: names maps {odd[0]!r}; expected numbers to names, as 0: cat')
            names = [names.get(i, f'class_{i}') for i in range(1 + max(names))]
        if not isinstance(names, list):
            raise SeMmError(f'{file}: names is {names!r}; expected a list, as [cat, dog]')
        names = [str(name) for name in names]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise SeMmError(f'{file}: two classes are called {twice[0]!r}; each needs a name of its own')
    if not names:
        return None, f'{file.name} has no names: the classes are class_0, class_1, ...'
    return names, f'classes of {file.name}'


def _splits(root: Path, content: dict[str, Any], index: PictureIndex) -> dict[str, str]:
    """The splits of the pictures in the folders and the lists that ``data.yaml`` names, training before validation."""
    splits: dict[str, str] = {}
    for key, split in SPLIT_NAMES.items():
        values = content.get(key) or []
        for value in values if isinstance(values, list) else [values]:
            place = _below(root, str(value), str(content.get('path') or ''))
            if place is None:
                continue
            if place.suffix == '.txt':
                lines = (line.strip() for line in (root / place).open(encoding='utf-8-sig'))
                found = (index.find(line, near=line) for line in lines if line)
                splits = {file: split for file in found if file} | splits
            else:
                splits = {file: split for file in index.files if file.startswith(f'{place}/')} | splits
    return splits


def _below(root: Path, value: str, path: str) -> PurePosixPath | None:
    """A list or a folder that ``data.yaml`` names, relative to the root; its paths may be those of another machine."""
    for start in (PurePosixPath(value), PurePosixPath(path, value)):
        parts = [part for part in start.parts if part not in ('.', '..', '/')]
        for i in range(len(parts) if start.is_absolute() else min(len(parts), 1)):
            place = PurePosixPath(*parts[i:])
            if (root / place).is_dir() or (place.suffix == '.txt' and (root / place).is_file()):
                return place
    return None
