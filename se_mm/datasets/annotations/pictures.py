"""Pictures below a folder: which there are, which one an annotation names, and how large they are."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from PIL import Image
from tqdm import tqdm

from ...errors import listed
from .splits import split_of

#: What OpenCV decodes, which the training reads with.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm', '.pbm')
#: Pictures that it does not decode.
_OTHER_PICTURES = ('.gif', '.heic', '.heif', '.avif', '.svg', '.psd', '.jxl', '.cr2', '.nef', '.arw', '.dng')
#: The name of the file that ``tools/infer.py`` writes into a folder.
PREDICTIONS = 'predictions.json'
_EXIF_ORIENTATION = 0x0112
#: The formats, as Pillow names them, that OpenCV turns as their EXIF data say.
_TURNED = ('JPEG', 'MPO', 'PNG')


class Size(NamedTuple):
    """Width and height of a picture as it is decoded, and as it is stored (before EXIF data turn it)."""

    decoded: tuple[int, int]
    stored: tuple[int, int]


def walk(root: Path, hidden: bool = False) -> Iterator[tuple[str, str]]:
    """Each file below a folder, relative to it with ``/``, and where it really is.

    Links to folders are followed, but not into a folder that is being walked already or holds the root.

    Args:
        root: the folder.
        hidden: whether files and folders whose names begin with a dot are walked, too.
    """

    def inside(folder: Path, below: str, chain: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            if entry.name.startswith('.') and not hidden:
                continue
            real = os.path.realpath(entry.path) if entry.is_symlink() else f'{chain[-1]}/{entry.name}'
            if not entry.is_dir():
                yield below + entry.name, real
            elif real not in chain and not f'{chain[0]}/'.startswith(f'{real}/'):
                yield from inside(Path(entry.path), f'{below}{entry.name}/', (*chain, real))

    return inside(root, '', (os.path.realpath(root),))


def files_below(root: Path, suffixes: Sequence[str]) -> list[str]:
    """Files with some suffixes, relative to the root and sorted; what is hidden is passed over."""
    return sorted(file for file, _ in walk(root) if file.lower().endswith(tuple(suffixes)))


class PictureIndex:
    """The pictures below a folder, by name and by stem, whatever their case and Unicode form.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, 'images').mkdir()
        ...     Path(root, 'images', 'a.PNG').touch()
        ...     PictureIndex(Path(root)).find('A.jpg', near='labels/a.txt')
        'images/a.PNG'
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        found = list(walk(root))
        # What tools/infer.py drew lies beside its predictions.
        drawn = tuple(
            f'{file.removesuffix(PREDICTIONS)}vis/' for file, _ in found if f'/{file}'.endswith(f'/{PREDICTIONS}')
        )
        pictures = ((file, real) for file, real in found if file.lower().endswith(IMAGE_SUFFIXES))
        self.real = {file: real for file, real in pictures if not file.startswith(drawn)}
        self.files = sorted(self.real)
        self._keys: dict[str, dict[str, list[str]]] = {}

    def find(self, name: str, near: str, split: str | None = None) -> str | None:
        """The picture that an annotation names, by its path, its name or its stem; of several the nearest one.

        Args:
            name: a path relative to the root, to the annotation, or of another machine; or a name,
                whose suffix may be another.
            near: the file of the annotation, relative to the root.
            split: of the annotation: of several pictures those in its folders are meant.

        Returns:
            ``None`` where there is none, or where it cannot be told which of several is meant
            (:meth:`why_not`).
        """
        path, folder = _path(name), PurePosixPath(near).parent
        if str(path) in self.real and (split is None or split_of(str(path)) in (split, None)):
            return str(path)
        found = self._named(path) or self._named(_path(unquote(name)))
        if len(path.parts) > 1:  # the folders of a relative path have to be right; others' machines have theirs
            same = [file for file in found if _ends_alike(PurePosixPath(file).parts, path.parts)]
            found = same or (found if _is_absolute(path) else [])
        found = [file for file in found if split and split_of(file) == split] or found
        shared = {file: sum((Counter(PurePosixPath(file).parts) & Counter(folder.parts)).values()) for file in found}
        nearest = [file for file in found if shared[file] == max(shared.values())]
        if len({self.real[file] for file in nearest}) == 1:
            return nearest[0]
        beside = str(folder / path)
        return beside if beside in nearest else None

    def why_not(self, name: str) -> str:
        """Why :meth:`find` returns no picture for a name, for the user."""
        found = self._named(_path(name))
        if not found:
            return 'there is no such picture'
        return f'that may be {listed(found, 3)}' if len(found) > 1 else f'there is {found[0]}, in another folder'

    def _named(self, path: PurePosixPath) -> list[str]:
        """Pictures of this name; else of this name whatever its case; else of its stem."""
        stem = path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name
        asked = (('name', path.name), ('folded', _folded(path.name)), ('stem', stem), ('folded stem', _folded(stem)))
        return next((found for kind, key in asked if (found := self._by(kind).get(key))), [])

    def _by(self, kind: str) -> dict[str, list[str]]:
        if kind not in self._keys:
            keys = self._keys[kind] = defaultdict(list)
            for file in self.files:
                name = PurePosixPath(file).stem if kind.endswith('stem') else PurePosixPath(file).name
                keys[_folded(name) if kind.startswith('folded') else name].append(file)
        return self._keys[kind]


def _folded(name: str) -> str:
    return unicodedata.normalize('NFC', unicodedata.normalize('NFC', name).casefold())


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(name.strip().replace('\\', '/')) if name.strip() else '')


def _is_absolute(path: PurePosixPath) -> bool:
    return path.is_absolute() or path.parts[0].endswith(':')


def _ends_alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether the shorter of two paths is the end of the other; the names of the files are not looked at."""
    folders = [_folded(part) for part in one[:-1]]
    others = [_folded(part) for part in other[:-1] if part not in ('.', '..')]
    length = min(len(folders), len(others))
    return folders[len(folders) - length :] == others[len(others) - length :]


def passed_over(root: Path) -> list[str]:
    """Lines on pictures below a folder that are hidden, or of formats which the training cannot read."""
    files = [file for file, _ in walk(root, hidden=True)]
    hidden = [file for file in files if '/.' in f'/{file}' and file.lower().endswith(IMAGE_SUFFIXES)]
    others = [file for file in files if file.lower().endswith(_OTHER_PICTURES)]
    found = (('that are hidden or in hidden folders', hidden), ('that OpenCV does not decode', others))
    return [f'passed over: {len(names)} pictures {why} ({listed(names, 3)})' for why, names in found if names]


def picture_size(path: Path) -> Size:
    """The size as mmcv decodes the picture, turned as its EXIF data say, and as it is stored.

    Raises:
        Exception: whatever the decoder raises for a file that is no picture.
    """
    with Image.open(path) as image:
        width, height = image.size
        # Pillow has turned a TIFF already; OpenCV does not read what a WebP says.
        turned = image.format in _TURNED and image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
        return Size((height, width) if turned else (width, height), (width, height))


def sizes_or_reasons(root: Path, files: Sequence[str], progress: str | None = None) -> list[Size | str]:
    """The sizes of pictures below a folder; for each that cannot be read the reason; ``progress`` names a bar."""

    def look(file: str) -> Size | str:
        path = root / file
        try:
            return picture_size(path)
        except Exception as error:  # decoders raise as they like
            if not path.is_file():
                return 'is missing'
            return f'is no picture ({error})' if path.stat().st_size else 'is empty (0 bytes)'

    with ThreadPoolExecutor(8) as pool:
        looked_at = pool.map(look, files)
        return list(tqdm(looked_at, progress, len(files), unit=' images', disable=progress is None))
