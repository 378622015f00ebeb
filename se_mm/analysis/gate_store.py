"""Gates of many pictures on disk: written picture by picture, saved as one .npz."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.atomic import PART
from .gates import Gate

#: In the archive, before the name of a gate.
PREFIX = 'gates/'


class GateStore:
    """Arrays (pictures, channels), one for each gate, in a temporary folder; memory does not grow with the pictures.

    Args:
        folder: an empty folder, the caller's to remove.
        gates: of :func:`se_mm.analysis.gates.find_gates`.
        count: of the pictures.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from torch import nn
        >>> gates = [Gate('layer1.0', nn.Identity(), 2)]
        >>> with TemporaryDirectory() as folder, GateStore(Path(folder), gates, count=3) as store:
        ...     store.add({'layer1.0': np.ones((3, 2))})
        ...     store.save(Path(folder, 'gates.npz'), labels=np.arange(3))
        ...     with np.load(Path(folder, 'gates.npz')) as saved:
        ...         saved['gates/layer1.0'].shape, saved['labels']
        ((3, 2), array([0, 1, 2]))
    """

    def __init__(self, folder: Path, gates: Sequence[Gate], count: int) -> None:
        self.paths = {gate.name: folder / f'{i}.npy' for i, gate in enumerate(gates)}
        self.files = {name: path.open('wb') for name, path in self.paths.items()}
        for gate in gates:
            header = {'descr': '<f4', 'fortran_order': False, 'shape': (count, gate.channels)}
            np.lib.format.write_array_header_1_0(self.files[gate.name], header)

    def add(self, values: Mapping[str, np.ndarray]) -> None:
        """Adds the gates of some pictures, (n, C) by the name of the gate."""
        for name, array in values.items():
            self.files[name].write(np.ascontiguousarray(array, '<f4').tobytes())

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Names and arrays, (pictures, C) each, which are read from the files as they are used."""
        for name, path in self.paths.items():
            self.files[name].flush()
            yield name, np.load(path, mmap_mode='r')

    def save(self, path: Path, **more: Any) -> None:
        """Writes an archive that ``numpy.load`` reads array by array, whole or not at all.

        Args:
            path: ``*.npz``.
            **more: other arrays.
        """
        part = path.with_name(f'{path.name}.{os.getpid()}{PART}')
        try:
            with zipfile.ZipFile(part, 'w', allowZip64=True) as archive:
                for name, file in self.paths.items():
                    self.files[name].flush()
                    archive.write(file, f'{PREFIX}{name}.npy')
                for name, array in more.items():
                    content = io.BytesIO()
                    np.save(content, np.asarray(array), allow_pickle=False)
                    archive.writestr(f'{name}.npy', content.getvalue())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def __enter__(self) -> GateStore:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.close()
