"""Millions of labelled paths in a few bytes each, shared between the workers of a data loader."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import SeMmError

_CHUNK = 1 << 24
_NEWLINE, _RETURN, _SPACE, _ZERO = b'\n'[0], b'\r'[0], b' '[0], b'0'[0]
_LONGEST_LABEL = 3


class ImageList:
    """Paths and labels of images, kept as the text of a list file and where its lines begin.

    The text stays in the file and is mapped into memory, so that its pages are the system's to
    drop and every process on the machine shares them; 8 bytes a line are the process's own.

    Args:
        text: the paths, one a line, as bytes or mapped.
        starts: where each path begins, (N,) unsigned integers.
        lengths: of each path in bytes, (N,).
        labels: (N,) int16; -1 where there is none.
        file: the file that ``text`` maps, if it does.

    Example:
        >>> images = ImageList.of_paths(['b/1.jpg', 'a/2.jpg'], [1, 0])
        >>> len(images), images.path(1), images.label(1)
        (2, 'a/2.jpg', 0)
    """

    def __init__(
        self, text: Any, starts: np.ndarray, lengths: np.ndarray, labels: np.ndarray, file: Path | None = None
    ) -> None:
        self.text = text
        self.starts = starts
        self.lengths = lengths
        self.labels = labels
        self.file = file
        self._shared: list[torch.Tensor] | None = None

    @classmethod
    def of_paths(cls, paths: Sequence[str], labels: Sequence[int]) -> ImageList:
        """The list of paths in memory."""
        encoded = [path.encode() for path in paths]
        lengths = np.array([len(path) for path in encoded], np.uint16)
        ends = np.cumsum(lengths.astype(np.int64) + 1)
        starts = (ends - lengths - 1).astype(np.uint32 if not len(ends) or ends[-1] < 2**32 else np.uint64)
        return cls(b'\n'.join(encoded), starts, lengths, np.array(labels, np.int16))

    @classmethod
    def read(cls, file: Path, num_classes: int | None) -> ImageList:
        """Reads a list file: a path and a label a line, or a path alone.

        Args:
            file: such as ``places365_train_standard.txt``.
            num_classes: labels must be below it; ``None``: the lines hold no label.

        Raises:
            SeMmError: if the file is missing or empty, or a line is not of that form; the
                message names the line.
        """
        try:
            text = _mapped(file)
        except FileNotFoundError as error:
            raise SeMmError(f'{file.absolute()} does not exist') from error
        except ValueError as error:  # mmap refuses an empty file
            raise SeMmError(f'{file} is empty: the split has no image') from error
        offset = np.uint32 if len(text) < 2**32 else np.uint64
        parts, line = [], 0
        for begin, end in _chunks(text):
            chunk = np.frombuffer(text, np.uint8, end - begin, begin)
            starts, lengths, labels = _parse(chunk, num_classes, file, line)
            line += int(np.count_nonzero(chunk == _NEWLINE))
            parts.append(((starts + begin).astype(offset), lengths, labels))
            text.madvise(mmap.MADV_DONTNEED)
        starts, lengths, labels = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        if not len(starts):
            raise SeMmError(f'{file} holds blank lines only: the split has no image')
        return cls(text, starts, lengths, labels, file)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, indices: Any) -> ImageList:
        """The images at the indices, or in a slice, as a list that shares the text."""
        return ImageList(self.text, self.starts[indices], self.lengths[indices], self.labels[indices], self.file)

    def path(self, index: int) -> str:
        start = int(self.starts[index])
        return self.text[start : start + int(self.lengths[index])].decode()

    def label(self, index: int) -> int:
        return int(self.labels[index])

    def line(self, index: int) -> int:
        """The number of an image's line in its file, from 1."""
        return self.text[: int(self.starts[index])].count(b'\n') + 1

    def forget_pages(self) -> None:
        """Gives the memory of the mapped text back to the system; a path that is asked for is read again."""
        if self.file:
            self.text.madvise(mmap.MADV_DONTNEED)

    def begins_with(self, prefix: str, indices: np.ndarray) -> np.ndarray:
        """Which of the paths at ``indices`` begin with the prefix."""
        wanted = np.frombuffer(prefix.encode(), np.uint8)
        text = np.frombuffer(self.text, np.uint8)
        # A path that is shorter than the prefix runs into the next line, and its newline differs.
        where = np.minimum(self.starts[indices, None].astype(np.int64) + np.arange(len(wanted)), len(text) - 1)
        return (text[where] == wanted).all(1)

    def __getstate__(self) -> dict[str, Any]:
        """For a spawned worker: the columns as tensors, which torch shares; the file is mapped again."""
        columns = (self.starts, self.lengths, self.labels)
        if self._shared is None:  # as bytes: torch cannot save every unsigned type
            self._shared = [torch.from_numpy(np.ascontiguousarray(column).view(np.uint8)) for column in columns]
        kinds = [column.dtype for column in columns]
        return {'columns': self._shared, 'kinds': kinds, 'file': self.file, 'text': None if self.file else self.text}

    def __setstate__(self, state: dict[str, Any]) -> None:
        text = _mapped(state['file']) if state['file'] else state['text']
        columns = (column.numpy().view(kind) for column, kind in zip(state['columns'], state['kinds'], strict=True))
        self.__init__(text, *columns, state['file'])


def _mapped(file: Path) -> mmap.mmap:
    with file.open('rb') as handle:
        return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)


def _chunks(text: mmap.mmap) -> list[tuple[int, int]]:
    """Whole lines, about ``_CHUNK`` bytes at a time."""
    bounds, begin = [], 0
    while begin < len(text):
        end = len(text) if begin + _CHUNK >= len(text) else text.find(b'\n', begin + _CHUNK) + 1 or len(text)
        bounds.append((begin, end))
        begin = end
    return bounds


def _parse(
    chunk: np.ndarray, num_classes: int | None, file: Path, lines_before: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    newlines = np.flatnonzero(chunk == _NEWLINE)
    if not len(newlines) or newlines[-1] != len(chunk) - 1:
        newlines = np.append(newlines, len(chunk))
    starts = np.concatenate([[0], newlines[:-1] + 1])
    ends = newlines - (chunk[np.maximum(newlines - 1, 0)] == _RETURN)
    numbers = np.flatnonzero(ends > starts)  # blank lines are passed over
    starts, ends = starts[numbers], ends[numbers]
    labels = np.full(len(starts), -1, np.int16)
    if num_classes is not None:
        labels, digits = _labels(chunk, starts, ends)
        wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
        if len(wrong):
            line = bytes(chunk[starts[wrong[0]] : ends[wrong[0]]]).decode(errors='replace')
            raise SeMmError(
                f'{file}, line {lines_before + numbers[wrong[0]] + 1}: {line!r} is not a path, a space and a label '
                f'from 0 to {num_classes - 1}'
            )
        ends = ends - digits - 1
    if len(starts) and (ends - starts).max() > np.iinfo(np.uint16).max:
        raise SeMmError(f'{file} has lines of more than 65535 bytes; expected paths')
    return starts, (ends - starts).astype(np.uint16), labels


def _labels(chunk: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number after the last space of each line, -1 where there is none, and how many digits it has."""
    labels = np.zeros(len(starts), np.int16)
    digits = np.zeros(len(starts), np.int64)
    reading = np.ones(len(starts), bool)
    found = np.zeros(len(starts), bool)
    for place in range(_LONGEST_LABEL + 1):
        at = ends - 1 - place
        inside = at > starts
        character = chunk[np.maximum(at, 0)]
        found |= reading & inside & (character == _SPACE) & (place > 0)
        value = character.astype(np.int16) - _ZERO
        reading &= inside & (value >= 0) & (value <= 9) & (place < _LONGEST_LABEL)
        labels += np.where(reading, value * 10**place, 0).astype(np.int16)
        digits += reading
    return np.where(found, labels, -1).astype(np.int16), digits
