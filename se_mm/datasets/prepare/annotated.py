"""What every annotation format is read into: pictures with boxes, and what could not be read."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

from PIL import Image

from ...config.coco_layout import IMAGE_SUFFIXES, files_below
from ...errors import SeMmError, listed

_EXIF_ORIENTATION = 0x0112
#: The formats, as Pillow names them, that OpenCV turns as their EXIF data say.
_TURNED = ('JPEG', 'MPO', 'PNG')
#: The share of files that may be broken.
MOST_BROKEN = 0.1
#: Of broken files so many are named.
SHOWN = 20


class Box(NamedTuple):
    """A box of a class, as x1, y1, x2, y2 in pixels from 0.

    Those that are ``difficult`` become COCO's crowd, which is neither trained on nor counted;
    ``fields`` are others of the COCO annotation (segmentation, area).
    """

    name: str
    corners: tuple[float, float, float, float]
    difficult: bool = False
    fields: Mapping[str, Any] = MappingProxyType({})


@dataclass
class Picture:
    """A picture and its boxes.

    Attributes:
        file: relative to the root, with ``/``.
        boxes: what the annotation says, before it is checked.
        split: ``'train'``, ``'val'``, ``'test'``, or ``None`` where the data set has no splits.
        size: width and height that the annotation gives, if it does.
    """

    file: str
    boxes: list[Box] = field(default_factory=list)
    split: str | None = None
    size: tuple[int, int] | None = None


@dataclass
class Reading:
    """A data set as a reader found it.

    Attributes:
        what: the format, for one line to the user.
        pictures: all that are annotated.
        classes: names in the order of the format where it has one; ``None``: sorted names.
        files: how many annotation files there are.
        broken: annotation files or pictures that cannot be used, with the reason.
        notes: what the user should know about the format.
    """

    what: str
    pictures: list[Picture] = field(default_factory=list)
    classes: list[str] | None = None
    files: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class PictureIndex:
    """The pictures below a folder, by name and by stem.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, 'images').mkdir()
        ...     Path(root, 'images', 'a.png').touch()
        ...     PictureIndex(Path(root)).find('a.jpg', near='labels/a.txt')
        'images/a.png'
    """

    def __init__(self, root: Path) -> None:
        self.files = files_below(root, IMAGE_SUFFIXES)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for file in self.files:
            self._by_name[PurePosixPath(file).name].append(file)
            self._by_stem[PurePosixPath(file).stem].append(file)

    def find(self, name: str, near: str) -> str | None:
        """The picture that an annotation names, by its path, its name or its stem; of several the nearest one.

        Args:
            name: a path relative to the root, to the annotation, or of another machine; or a name,
                whose suffix may be another.
            near: the file of the annotation, relative to the root.

        Returns:
            ``None`` where there is none, or where it cannot be told which of several is meant
            (:meth:`why_not`).
        """
        path, folder = _path(name), PurePosixPath(near).parent
        found = self._named(path)
        if len(path.parts) > 1:  # the folders of a relative path have to be right; others' machines have theirs
            same = [file for file in found if _ends_alike(PurePosixPath(file).parts, path.parts)]
            found = same or (found if _is_absolute(path) else [])
        shared = {file: _shared(PurePosixPath(file).parts, folder.parts) for file in found}
        nearest = [file for file in found if shared[file] == max(shared.values())]
        if len({PurePosixPath(file).name for file in nearest}) < len(nearest):
            return str(folder / path) if str(folder / path) in nearest else None
        return nearest[0] if nearest else None

    def why_not(self, name: str) -> str:
        """Why :meth:`find` returns no picture for a name, for the user."""
        found = self._named(_path(name))
        if not found:
            return 'there is no such picture'
        return f'that may be {listed(found, 3)}' if len(found) > 1 else f'there is {found[0]}, in another folder'

    def _named(self, path: PurePosixPath) -> list[str]:
        stem = path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
        return self._by_name.get(path.name) or self._by_stem.get(stem) or []


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace('\\', '/'))


def _is_absolute(path: PurePosixPath) -> bool:
    return path.is_absolute() or path.parts[0].endswith(':')


def _ends_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the shorter of two paths is the end of the other; the names of the files are not looked at."""
    folders, others = one[:-1], tuple(part for part in other[:-1] if part not in ('.', '..'))
    length = min(len(folders), len(others))
    return folders[len(folders) - length :] == others[len(others) - length :]


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    return sum((Counter(one) & Counter(other)).values())


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height as mmcv decodes it: turned as its EXIF data say.

    Raises:
        Exception: whatever the decoder raises for a file that is no picture.
    """
    with Image.open(path) as image:
        width, height = image.size
        # Pillow has turned a TIFF already; OpenCV does not read what a WebP says.
        turned = image.format in _TURNED and image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
        return (height, width) if turned else (width, height)


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height before EXIF data turn the picture."""
    with Image.open(path) as image:
        return image.size


def sizes_or_reasons(root: Path, files: Sequence[str]) -> list[tuple[int, int] | str]:
    """The sizes of pictures below a folder; for each that cannot be read the reason."""

    def look(file: str) -> tuple[int, int] | str:
        path = root / file
        try:
            return picture_size(path)
        except Exception as error:  # decoders raise as they like
            return 'is empty (0 bytes)' if path.is_file() and not path.stat().st_size else f'is no picture ({error})'

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(look, files))


def check_arguments(root: Path, val: float) -> None:
    """Refuses a folder that does not exist and a share that leaves nothing.

    Raises:
        SeMmError: for either.
    """
    if not root.is_dir():
        raise SeMmError(f'folder {root.absolute()} does not exist')
    if not 0 < val < 1:
        raise SeMmError(f'--val is {val}; expected a share above 0 and below 1, as 0.2')


def set_aside(files: Sequence[str], val: float, seed: int) -> set[str]:
    """The files of the validation set, at least one and not all, chosen by a hash of seed and name.

    Example:
        >>> sorted(set_aside(['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg', 'e.jpg'], val=0.4, seed=0))
        ['a.jpg', 'd.jpg']
    """
    ordered = sorted(files, key=lambda file: hashlib.sha256(f'{seed}:{file}'.encode()).digest())
    return set(ordered[: min(max(round(val * len(files)), 1), len(files) - 1)])


def how_to_train(root: Path) -> str:
    """The command that trains on a prepared folder, for the user."""
    return f'train with: se-mm train CONFIG --data-root {root} --classes'


def checked_box(box: Box, width: int, height: int) -> tuple[Box | None, str | None]:
    """The box inside of its picture, and what was wrong with it.

    Returns:
        The box, cut at the edges, or ``None`` where it cannot be used; and the reason for either.

    Example:
        >>> checked_box(Box('cell', (-1, 2, 5, 9)), 8, 8)
        (Box(name='cell', corners=(0, 2, 5, 8), ...), 'reaches over the edge, and is cut there')
        >>> checked_box(Box('cell', (5, 2, 1, 9)), 8, 8)
        (None, 'is inverted or empty')
    """
    if not all(math.isfinite(value) for value in box.corners):
        return None, 'is not four finite numbers'
    x1, y1, x2, y2 = box.corners
    if x2 <= x1 or y2 <= y1:
        return None, 'is inverted or empty'
    inside = (max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return None, f'is outside of the picture ({width}x{height})'
    if inside == box.corners:
        return box, None
    return box._replace(corners=inside), 'reaches over the edge, and is cut there'


#: Reads the data set below a root; ``None`` where the format is not there.
Reader = Callable[[Path, PictureIndex], Reading | None]
