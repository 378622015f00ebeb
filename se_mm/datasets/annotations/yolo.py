"""YOLO's text: a line of ``class x y width height`` for each box, as shares of the picture, or a polygon."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ...errors import SeMmError, listed
from .pictures import PictureIndex, files_below, picture_size
from .records import Object, Picture, PredictionsError, Reading, Records
from .splits import SPLIT_NAMES, split_of

_YAMLS = ('data.yaml', 'data.yml', 'dataset.yaml')
_TEXTS = ('classes.txt', 'obj.names', 'labels/classes.txt')
#: Shares may be this much above 1, from rounding.
_MOST = 1.01


def read(root: Path, index: PictureIndex, names: Sequence[str] | None = None) -> Reading | None:
    """The YOLO data set below a folder; ``None`` where no picture has a text file of boxes.

    Args:
        root: the folder.
        index: of its pictures.
        names: of the classes, where the set does not say them.

    Raises:
        SeMmError: if the file of its names cannot be used, or all labels are predictions.
    """
    texts = set(files_below(root, ('.txt',)))
    labels = {picture: label for picture in index.files if (label := _label_of(picture, texts))}
    lines: dict[PurePosixPath, list[list[str]]] = defaultdict(list)  # the first of each label, by folder
    for label in labels.values():
        lines[PurePosixPath(label).parent] += [words] if (words := _words(root / label)) else []
    # One that does not begin as a label is a broken label, if others of its folder are labels.
    of_labels = {folder for folder, firsts in lines.items() if any(map(_is_label, firsts))}
    scored = {folder for folder in of_labels if all(len(words) == 6 for words in lines[folder])}
    of_labels -= scored
    if not of_labels:
        if scored:
            raise PredictionsError(f'{root / min(scored)}: each box has a score: predictions, which are no annotations')
        return None
    labels = {picture: label for picture, label in labels.items() if PurePosixPath(label).parent in of_labels}
    folders = {PurePosixPath(picture).parent for picture in labels}
    content, given, said = _names(root)
    splits = _splits(root, content, index)
    reading = Reading('YOLO text', Records.of([]), len(labels), notes=[said])
    pictures, found = [], list(names or given)
    labelled = {index.real[picture] for picture in labels}
    for picture in index.files:
        if PurePosixPath(picture).parent not in folders or (picture not in labels and index.real[picture] in labelled):
            continue
        entry = Picture(picture, [], splits.get(picture) or split_of(picture), source=labels.get(picture, ''))
        try:
            size = picture_size(root / picture).decoded
        except Exception:  # a broken picture, which is named where all of them are looked at
            size = (1, 1)
        try:
            lines = (root / entry.source).read_text(encoding='utf-8-sig').splitlines() if entry.source else []
            entry.objects = [
                _object(words, size, found, 'kpt_shape' in content) for line in lines if (words := line.split())
            ]
        except (ValueError, UnicodeDecodeError) as error:
            reading.broken.append((entry.source, f'cannot be read: {error}'))
            continue
        pictures.append(entry)
    background = sum(not picture.source for picture in pictures)
    if background:
        reading.notes.append(f'{background} pictures without a text file: they show nothing')
    if scored:
        reading.notes.append(f'{listed(sorted(map(str, scored)))}: predictions (each has a score), not read')
    numbers = [int(entry.name[6:]) for picture in pictures for entry in picture.objects] if not found else []
    classes = found or [f'class_{i}' for i in range(1 + max(numbers, default=-1))]
    reading.records = Records.of(pictures, classes)
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


def _words(file: Path) -> list[str]:
    """Of the first line."""
    try:
        with file.open(encoding='utf-8-sig') as stream:
            return stream.readline().split()
    except UnicodeDecodeError:
        return []


def _is_label(words: list[str]) -> bool:
    """Whether a line begins with the number of a class and is long enough."""
    return len(words) >= 5 and _class_number(words[0]) is not None


def _class_number(word: str) -> int | None:
    """Of ``3`` and of ``3.0``."""
    whole, _, rest = word.partition('.')
    return int(whole) if whole.isdigit() and not rest.strip('0') else None


def _object(words: list[str], size: tuple[int, int], names: Sequence[str], has_keypoints: bool = False) -> Object:
    """An object in pixels.

    Args:
        words: of its line.
        size: width and height of the picture.
        names: of the classes; empty: they are ``class_0`` and so on.
        has_keypoints: whether they stand behind the box.

    Example:
        >>> _object('0 0.5 0.5 0.25 0.5'.split(), (80, 40), ['cell'])
        Object(name='cell', corners=[30.0, 10.0, 50.0, 30.0], ...)
    """
    number, values = _class_number(words[0]), [float(word) for word in words[1:]]
    if number is None:
        raise ValueError(f'the class {words[0]} is no number')
    if names and number >= len(names):
        raise ValueError(f'class {number} is unknown, there are {len(names)} names')
    name = names[number] if names else f'class_{number}'
    pixels = [round(value * size[i % 2], 3) for i, value in enumerate(values)]
    if len(values) in (4, 5) or (has_keypoints and len(values) > 4):
        x, y, w, h = pixels[:4]
        return Object(name, [round(value, 3) for value in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)])
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f'a line of {len(words)} words; expected class x y width height, or a polygon')
    if not all(1 - _MOST <= value <= _MOST for value in values):
        raise ValueError('a value outside of 0..1, which no polygon has (keypoints need kpt_shape in the YAML)')
    xs, ys = pixels[::2], pixels[1::2]
    return Object(name, [min(xs), min(ys), max(xs), max(ys)], mask=[pixels])


def _names(root: Path) -> tuple[dict[str, Any], list[str], str]:
    """The content of the set's YAML, the names of its classes (empty: they are not said), and where they come from.

    Raises:
        SeMmError: if the file is no YAML, no mapping, or its names cannot be used.
    """
    content: dict[str, Any] = {}
    names = [name for name in files_below(root, ('.yaml', '.yml')) if name.count('/') < 2]
    for name in sorted(names, key=lambda name: (name not in _YAMLS, name)):
        found = _content(root / name, needed=name in _YAMLS)
        if found.get('names'):
            return found, _checked(_listed_names(root / name, found['names']), root / name), f'classes of {name}'
        content = content or (found if name in _YAMLS else {})
    for name in _TEXTS:
        if (root / name).is_file():
            lines = (root / name).read_text(encoding='utf-8-sig').splitlines()
            names = _checked([line.strip() for line in lines if line.strip()], root / name)
            return content, names, f'classes of {name}'
    return content, [], 'warning: nothing names the classes (a YAML with names:, or classes.txt); --names does'


def _content(file: Path, needed: bool) -> dict[str, Any]:
    """Of a YAML; empty for one that is of something else and not ``needed``."""
    try:
        content = yaml.safe_load(file.read_text(encoding='utf-8-sig')) or {}
        if not isinstance(content, dict):
            raise ValueError(f'it is a {type(content).__name__}; expected a mapping with names, train and val')
    except (yaml.YAMLError, ValueError) as error:
        if needed:
            raise SeMmError(f'{file} cannot be read: {error}') from error
        return {}
    return content


def _listed_names(file: Path, names: Any) -> list[str]:
    if isinstance(names, dict):
        if odd := [key for key in names if not isinstance(key, int)]:
            raise SeMmError(f'{file}: names maps {odd[0]!r}; expected numbers to names, as 0: cat')
        names = [names.get(i, f'class_{i}') for i in range(1 + max(names))]
    if not isinstance(names, list):
        raise SeMmError(f'{file}: names is {names!r}; expected a list, as [cat, dog]')
    return [str(name) for name in names]


def _checked(names: list[str], file: Path) -> list[str]:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise SeMmError(f'{file}: two classes are called {twice[0]!r}; each needs a name of its own')
    return names


def _splits(root: Path, content: dict[str, Any], index: PictureIndex) -> dict[str, str]:
    """The splits of the pictures in the folders and the lists that the YAML names, training before validation."""
    splits: dict[str, str] = {}
    for key, split in SPLIT_NAMES.items():
        values = content.get(key) or []
        for value in values if isinstance(values, list) else [values]:
            place = _below(root, str(value), str(content.get('path') or ''))
            if place is None:
                continue
            if place.suffix == '.txt':
                lines = (line.strip() for line in (root / place).read_text(encoding='utf-8-sig').splitlines())
                found = (index.find(line, near=line) for line in lines if line)
                splits = {file: split for file in found if file} | splits
            else:
                splits = {file: split for file in index.files if file.startswith(f'{place}/')} | splits
    return splits


def _below(root: Path, value: str, path: str) -> PurePosixPath | None:
    """A list or a folder that the YAML names, relative to the root; its paths may be those of another machine."""
    for start in (PurePosixPath(value), PurePosixPath(path, value)):
        parts = [part for part in start.parts if part not in ('.', '..', '/')]
        for i in range(len(parts) if start.is_absolute() else min(len(parts), 1)):
            place = PurePosixPath(*parts[i:])
            if (root / place).is_dir() or (place.suffix == '.txt' and (root / place).is_file()):
                return place
    return None
