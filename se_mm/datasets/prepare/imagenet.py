"""The official archives of ImageNet (ILSVRC 2012) become folders that are named by WordNet ids."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from ...compat.archives import extract_inside
from ...errors import SeMmError, listed
from ...utils.paths import make_folder
from ..imagenet import WNID

TRAIN, VAL, DEVKIT = 'ILSVRC2012_img_train.tar', 'ILSVRC2012_img_val.tar', 'ILSVRC2012_devkit_t12.tar.gz'
#: Pictures that each set has.
COUNTS = {'train': 1_281_167, 'val': 50_000}


def prepare_imagenet(root: Path, counts: Mapping[str, int] = COUNTS) -> list[str]:
    """Unpacks what is not there yet; a run that was cut off goes on with the next class or picture.

    ``train/<wnid>`` comes of the training archive, whose members are an archive for each class; ``val/<wnid>`` of
    the validation archive and the devkit, which has the labels. The archives stay.

    Args:
        root: the folder of the archives, and of the result.
        counts: the pictures that are expected in ``train`` and ``val``; a set that is left out is passed over.

    Returns:
        What is there, for the user.

    Raises:
        SeMmError: if an archive is missing or cut off, or there are more or fewer pictures in the end.
    """
    lines = []
    for split, expected in counts.items():
        folder = root / split
        if _count(folder) != expected:
            make_folder(folder, str(folder))
            (_unpack_train if split == 'train' else _unpack_val)(root, folder)
        if (count := _count(folder)) != expected:
            raise SeMmError(
                f'{folder} has {count:,} pictures, and {expected:,} are expected; delete the folders of classes '
                'with too few or too many, and the same command makes them anew'
            )
        lines.append(f'{folder}: {count:,} pictures, {len(_classes(folder))} classes')
    return [*lines, f'test with: se-mm test timm://legacy_seresnet50.in1k --data-root {root}']


def _classes(folder: Path) -> list[Path]:
    return [entry for entry in folder.glob('n*') if WNID.fullmatch(entry.name)] if folder.is_dir() else []


def _count(folder: Path) -> int:
    return sum(file.suffix == '.JPEG' for entry in _classes(folder) for file in entry.iterdir())


def _archive(root: Path, name: str) -> tarfile.TarFile:
    """An archive that is whole to its last member."""
    file = root / name
    if not file.is_file():
        raise SeMmError(
            f'{file.absolute()} does not exist; expected the official archives in {root}: {TRAIN}, {VAL} and {DEVKIT}, '
            'from image-net.org (an account is needed)'
        )
    try:
        archive = tarfile.open(file)  # noqa: SIM115 (the caller closes it)
        last = archive.getmembers()[-1]
        if file.suffix == '.tar' and last.offset_data + last.size + tarfile.BLOCKSIZE > file.stat().st_size:
            raise EOFError('its end is missing')
    except (tarfile.TarError, EOFError, OSError, IndexError) as error:
        why = ' '.join(str(error).split())
        raise SeMmError(f'{file} is damaged or cut off: {why}; fetch it again, what is unpacked stays') from error
    return archive


def _unpack_train(root: Path, folder: Path) -> None:
    """Class by class, each aside first, so that a folder that is there is whole."""
    aside = folder / '.unpacking'
    with _archive(root, TRAIN) as archive:
        for member in tqdm(archive.getmembers(), unit=' classes', disable=None):
            wnid = Path(member.name).stem
            if not WNID.fullmatch(wnid) or (folder / wnid).is_dir():
                continue
            shutil.rmtree(aside, ignore_errors=True)
            try:
                with tarfile.open(fileobj=archive.extractfile(member)) as pictures:
                    extract_inside(pictures, aside)
            except (tarfile.TarError, EOFError) as error:
                raise SeMmError(f'{root / TRAIN}: {member.name} in it is damaged: {error}; fetch it again') from error
            aside.rename(folder / wnid)


def _unpack_val(root: Path, folder: Path) -> None:
    labels = _labels(root)
    with _archive(root, VAL) as archive:
        for member in tqdm(archive.getmembers(), unit=' pictures', disable=None):
            number = re.search(r'_val_(\d+)\.JPEG$', member.name)
            if number is None or not 0 < int(number[1]) <= len(labels):
                continue  # what is too few is counted in the end
            target = folder / labels[int(number[1]) - 1] / Path(member.name).name
            if target.is_file() and target.stat().st_size == member.size:
                continue
            target.parent.mkdir(exist_ok=True)
            part = target.with_suffix('.part')
            part.write_bytes(archive.extractfile(member).read())
            part.replace(target)


def _labels(root: Path) -> list[str]:
    """The WordNet id of each picture of the validation set."""
    from scipy.io import loadmat

    with _archive(root, DEVKIT) as archive:
        content = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}
        wanted = ('meta.mat', 'ILSVRC2012_validation_ground_truth.txt')
        if missing := [name for name in wanted if name not in content]:
            raise SeMmError(f'{root / DEVKIT} has no {listed(missing)}')
        meta, truth = (archive.extractfile(content[name]).read() for name in wanted)
    synsets = loadmat(io.BytesIO(meta), squeeze_me=True)['synsets']
    wnids = {int(number): str(wnid) for number, wnid in zip(synsets['ILSVRC2012_ID'], synsets['WNID'], strict=True)}
    return [wnids[int(number)] for number in truth.split()]
