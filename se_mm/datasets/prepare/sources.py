"""Where COCO and Places365 come from, what should lie where, and whether it does."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...compat.archives import extract_inside
from ...errors import SeMmError
from ..annotations.pictures import sizes_or_reasons
from .download import download

_PLACES = 'http://data.csail.mit.edu/places/places365/'
_COCO = 'http://images.cocodataset.org/'


@dataclass(frozen=True)
class Archive:
    """A file to fetch and unpack.

    Attributes:
        url: where it is.
        gives: what is there once it is unpacked, from the root of the data.
        md5: as published (Places365: the authors' page, and torchvision); COCO publishes none.
        unpacks_as: the name of ``gives`` in the archive, where that is another one.
    """

    url: str
    gives: str
    md5: str | None = None
    unpacks_as: str | None = None

    @property
    def name(self) -> str:
        return self.url.rpartition('/')[2]


_LIST_MD5 = {'standard': '35a0585fee1fa656440f3ab298f8479c', 'challenge': '70a8307e459c3de41690a7c76c931734'}


def _places(lists: str, part: str, pictures: str, md5: str, gives: str, unpacks_as: str | None = None) -> tuple:
    """The archive of the lists of both sets, and that of the pictures of a part."""
    listed = Archive(f'{_PLACES}filelist_places365-{lists}.tar', f'places365_{part}.txt', _LIST_MD5[lists])
    return listed, Archive(f'{_PLACES}{pictures}.tar', gives, md5, unpacks_as)


def _coco(part: str) -> tuple[Archive, Archive]:
    boxes = Archive(f'{_COCO}annotations/annotations_trainval2017.zip', f'annotations/instances_{part}.json')
    return Archive(f'{_COCO}zips/{part}.zip', part), boxes


#: By data set and part.
SOURCES: dict[str, dict[str, tuple[Archive, ...]]] = {
    'places365': {
        'train-standard': _places(
            'standard', 'train_standard', 'train_256_places365standard', '53ca1c756c3d1e7809517cc47c5561c5', 'data_256'
        ),
        'val': _places('standard', 'val', 'val_256', 'e27b17d8d44f4af9a78502beb927f808', 'val_256'),
        'train-challenge': _places(  # both training sets unpack as data_256
            'challenge', 'train_challenge', 'train_256_places365challenge', '741915038a5e3471ec7332404dfb64ef',
            'data_256_challenge', unpacks_as='data_256',
        ),
        'test': _places('standard', 'test', 'test_256', 'f532f6ad7b582262a2ec8009075e186b', 'test_256'),
    },
    'coco': {part: _coco(part) for part in ('train2017', 'val2017')},
}  # fmt: skip
#: What is looked at and fetched unless other parts are named.
USUAL_PARTS = {'places365': ('train-standard', 'val'), 'coco': ('train2017', 'val2017')}


def archives(data: str, parts: Sequence[str]) -> list[Archive]:
    """The archives of some parts of a data set, each once.

    Raises:
        SeMmError: for a part that the data set does not have.
    """
    unknown = [part for part in parts if part not in SOURCES[data]]
    if unknown:
        raise SeMmError(f'{data} has no part {", ".join(unknown)}; it has {", ".join(SOURCES[data])}')
    return list(dict.fromkeys(archive for part in parts for archive in SOURCES[data][part]))


def report(data: str, root: Path, parts: Sequence[str]) -> tuple[list[str], bool]:
    """A line for each part of the data with its place and whether it is there; and whether all of them are."""
    lines, complete = [], True
    found = {part: layout for part in parts if data == 'places365' and (layout := _layout(root, part))}
    lines += [f'there    {part}: {layout}' for part, layout in found.items()]
    for archive in archives(data, [part for part in parts if part not in found]):
        there = (root / archive.gives).exists()
        complete &= there
        checksum = f', md5 {archive.md5}' if archive.md5 else ', no checksum is published'
        lines.append(f'{"there  " if there else "MISSING"}  {root / archive.gives}  ({archive.url}{checksum})')
    return lines, complete


def _layout(root: Path, part: str) -> str | None:
    """Places365 in any of its layouts."""
    from ..places365 import find_layout

    try:
        return str(find_layout(root, part))
    except SeMmError:
        return None


def fetch(data: str, root: Path, parts: Sequence[str]) -> None:
    """Downloads and unpacks what is missing; the archives stay in ``root``.

    Raises:
        SeMmError: if one cannot be fetched or unpacked.
    """
    for archive in archives(data, [part for part in parts if data != 'places365' or not _layout(root, part)]):
        if (root / archive.gives).exists():
            continue
        file = download(archive.url, root / archive.name, archive.md5)
        print(f'unpacking {file}')
        try:
            _unpack(file, root, archive)
        except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
            raise SeMmError(f'{file} cannot be unpacked: {error}; delete it to fetch it again') from error
        if not (root / archive.gives).exists():
            raise SeMmError(f'{file} was unpacked, and there is still no {root / archive.gives}; look into {root}')


def _unpack(file: Path, root: Path, archive: Archive) -> None:
    """Beside the data first, so that an interrupted unpacking leaves nothing that looks complete."""
    aside = root / f'.unpacking-{file.name}'
    shutil.rmtree(aside, ignore_errors=True)
    if file.suffix == '.zip':
        with zipfile.ZipFile(file) as content:
            content.extractall(aside)
    else:
        with tarfile.open(file) as content:
            extract_inside(content, aside)
    if archive.unpacks_as:
        (aside / archive.unpacks_as).rename(aside / archive.gives)
    _move_into(aside, root)
    shutil.rmtree(aside)


def _move_into(source: Path, target: Path) -> None:
    for entry in source.iterdir():
        there = target / entry.name
        if entry.is_dir() and there.is_dir():
            _move_into(entry, there)
        else:
            entry.replace(there)


def broken_images(data: str, root: Path, parts: Sequence[str]) -> tuple[int, list[str]]:
    """Reads the header of every picture that the lists name, in parallel, with a progress bar.

    Returns:
        How many were looked at, and a line for each that is missing or cannot be read.

    Raises:
        SeMmError: if a list is missing or damaged.
    """
    count, broken = 0, []
    for part in parts:
        paths = [str(path) for path in _images(data, root, part)]
        count += len(paths)
        sizes = sizes_or_reasons(Path(), paths, progress=part)
        broken += [f'{path}: {why}' for path, why in zip(paths, sizes, strict=True) if isinstance(why, str)]
    return count, broken


def _images(data: str, root: Path, part: str) -> Iterator[Path]:
    if data == 'places365':
        from ..places365 import Places365

        dataset = Places365(str(root), part)
        yield from (Path(dataset.image_path(i)) for i in range(len(dataset)))
        return
    list_file = root / 'annotations' / f'instances_{part}.json'
    try:
        images = json.loads(list_file.read_bytes())['images']
    except (OSError, ValueError, KeyError) as error:
        raise SeMmError(f'{list_file.absolute()} cannot be read: {error!r}') from error
    yield from (root / part / image['file_name'] for image in images)
