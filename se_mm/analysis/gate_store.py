"""Gates of many pictures on disk: written picture by picture, saved as one .npz."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping, Sequence
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
        >>> with TemporaryDirectory() as folder:
        ...     store = GateStore(Path(folder), [Gate('layer1.0', nn.Identity(), 2)], count=3)
        ...     _ = store.add({'layer1.0': np.ones((3, 2))})
        ...     store.save(Path(folder, 'gates.npz'), labels=np.arange(3))
        ...     with np.load(Path(folder, 'gates.npz')) as saved:
        ...         saved['gates/layer1.0'].shape, saved['labels']
        ((3, 2), array([0, 1, 2]))
    """

    def __init__(self, folder: Path, gates: Sequence[Gate], count: int) -> None:
        self.files = {gate.name: folder / f'{i}.npy' for i, gate in enumerate(gates)}
        self.arrays: dict[str, np.memmap] = {
            gate.name: np.lib.format.open_memmap(self.files[gate.name], 'w+', np.float32, (count, gate.channels))
            for gate in gates
        }
        self.filled = 0

    def add(self, values: Mapping[str, np.ndarray]) -> int:
        """Adds the gates of some pictures, (n, C) by the name of the gate; returns n."""
        count = len(next(iter(values.values())))
        for name, array in values.items():
            self.arrays[name][self.filled : self.filled + count] = array
        self.filled += count
        return count

    def save(self, path: Path, **more: Any) -> None:
        """Writes an archive that ``numpy.load`` reads array by array, whole or not at all.

        Args:
            path: ``*.npz``.
            **more: other arrays.
        """
        part = path.with_name(f'{path.name}.{os.getpid()}{PART}')
        try:
            with zipfile.ZipFile(part, 'w', allowZip64=True) as archive:
                for name, file in self.files.items():
                    self.arrays[name].flush()
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
        self.arrays.clear()  # closes the files, which Windows does not remove while they are open
