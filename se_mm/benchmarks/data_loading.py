"""How long a list of millions takes to read and how much memory it holds, and how fast pictures are decoded."""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..datasets.places365 import FOLDERS, Places365
from ..errors import SeMmError
from ..utils.memory import peak_resident_bytes
from .measuring import MIB, interleaved

QUALITY = 90


def measure_list(lines: int) -> str:
    """Reads a generated training list of that many lines as ``Places365`` does."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_list(root, lines)
        before = _resident_bytes()
        start = time.perf_counter()
        dataset = Places365(str(root), 'train-challenge')
        seconds = time.perf_counter() - start
        held, peak = (bytes - before for bytes in (_resident_bytes(), peak_resident_bytes()))
        return (
            f'{len(dataset)} lines ({dataset.images.file.stat().st_size / MIB:.0f} MiB): read in {seconds:.1f} s; '
            f'resident memory grew by {held / MIB:.0f} MiB (at its peak by {peak / MIB:.0f} MiB)'
        )


def _write_list(root: Path, lines: int) -> None:
    counts = [len(part) for part in np.array_split(np.arange(lines), len(FOLDERS))]
    with (root / 'places365_train_challenge.txt').open('w') as file:
        for label, (folder, count) in enumerate(zip(FOLDERS, counts, strict=True)):
            file.writelines(f'{folder}/{i:08d}.jpg {label}\n' for i in range(count))
            (root / 'data_256' / folder[1:]).mkdir(parents=True)


def _resident_bytes() -> int:
    """The memory that this process holds now."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()


def jpegs_in(folder: Path, count: int = 200) -> list[Path]:
    """The first JPEGs in a folder and its subfolders.

    Raises:
        SeMmError: if it holds none.
    """
    files = sorted(path for path in folder.rglob('*') if path.suffix.lower() in ('.jpg', '.jpeg'))[:count]
    if not files:
        raise SeMmError(f'--images {folder}: expected a folder with .jpg or .jpeg files in it, and there are none')
    return files


def measure_decoders(files: Sequence[Path], rounds: int = 7) -> Iterator[str]:
    """Images a second of one process by each decoder that is installed, at 256 x 256 pixels.

    The rounds of the decoders are interleaved; the figure is the median, with the fastest and
    slowest round.

    Args:
        files: pictures.
        rounds: how many times each decoder reads all of them.

    Raises:
        SeMmError: for a file that is no picture.
    """
    encoded = [cv2.imencode('.jpg', _square(path), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes() for path in files]
    cv2.setNumThreads(1)
    runs = {name: lambda decode=decode: [decode(content) for content in encoded] for name, decode in _decoders()}
    rates = {name: [len(encoded) / t for t in seconds] for name, seconds in interleaved(runs, rounds).items()}
    for name, values in sorted(rates.items(), key=lambda item: -statistics.median(item[1])):
        yield f'{name:12} {statistics.median(values):6.0f} images/s ({min(values):.0f} to {max(values):.0f})'


def _square(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SeMmError(f'{path} cannot be read as a picture; mend it or take it away')
    return cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA)


def _decoders() -> Iterator[tuple[str, Callable[[bytes], object]]]:
    import mmcv
    import torch
    import torchvision

    yield 'cv2', lambda content: mmcv.imfrombytes(content, backend='cv2')
    yield 'pillow', lambda content: mmcv.imfrombytes(content, backend='pillow')
    yield (
        'torchvision',
        # BGR in rows, as mmcv's backends give it
        lambda content: np.ascontiguousarray(
            torchvision.io.decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8))
            .permute(1, 2, 0)
            .numpy()[..., ::-1]
        ),
    )
    try:
        from turbojpeg import TurboJPEG

        turbojpeg = TurboJPEG()
    except (ImportError, RuntimeError, OSError):  # not installed, or without the system's library
        return
    yield 'turbojpeg', turbojpeg.decode
