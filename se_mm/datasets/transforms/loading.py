"""Loading images that may be missing or damaged, in the orientation that they were annotated in."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile as _LoadImageFromFile
from mmengine import fileio
from PIL import Image

from ...config.tree import nodes
from ...registry import TRANSFORMS
from ..validation.skipped import Skipped, note

UNREADABLE = ('raise', 'another', 'grey')
GUARDED = (
    *(f'{scope}LoadImageFromFile' for scope in ('', 'mmcv.', 'mmdet.', 'se_mm.')),
    _LoadImageFromFile,
)


class UnreadableImageError(Exception):
    """Why an image cannot be used."""


@TRANSFORMS.register_module()
class LoadImageFromFile(_LoadImageFromFile):
    """mmcv's, with a choice of what happens to an image that cannot be read.

    An image that its EXIF orientation turns is decoded as it was annotated, if the annotations
    have its width and height. An image of another size than the annotated one cannot be used.

    Args:
        unreadable: ``'raise'``; ``'another'``: the data set returns another image in its place,
            for training; ``'grey'``: a grey image of the annotated size, for evaluation, where
            each image counts.
        split: name of the split in the report.
        report: file that such images are noted in (:mod:`se_mm.datasets.validation.skipped`).
        **kwargs: as in mmcv; ``imdecode_backend='timm'``: as timm opens a picture, with Pillow as RGB, whatever its
            mode, without its EXIF orientation.

    Raises:
        UnreadableImageError: with ``unreadable='raise'``.
    """

    def __init__(
        self, *args: Any, unreadable: str = 'raise', split: str = '', report: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if unreadable not in UNREADABLE:
            raise ValueError(f'unreadable must be one of {UNREADABLE}, got {unreadable!r}')
        self.unreadable = unreadable
        self.split = split
        self.report = report
        self._noted: set[str] = set()

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        path = results['img_path']
        try:
            image = self._read(path, results.get('height'), results.get('width'))
        except Exception as error:  # decoders raise as they like
            if self.unreadable == 'raise' and not self.ignore_empty:
                raise UnreadableImageError(f'image {path} cannot be read: {_reason(error)}') from error
            self._note(path, _reason(error))
            if self.unreadable != 'grey':
                return None
            shape = (int(results.get('height') or 256), int(results.get('width') or 256), 3)
            image = np.full(shape[:2] if self.color_type.startswith('grayscale') else shape, 127, np.uint8)
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _read(self, path: str, height: int | None, width: int | None) -> np.ndarray:
        if self.file_client_args is not None:
            content = fileio.FileClient.infer_client(self.file_client_args, path).get(path)
        else:
            content = fileio.get(path, backend_args=self.backend_args)
        content = bytes(content)
        if not content:
            raise UnreadableImageError('empty (0 bytes)')
        if self.imdecode_backend == 'timm':
            return np.ascontiguousarray(np.asarray(Image.open(io.BytesIO(content)).convert('RGB'))[..., ::-1])
        image = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
        if image is None:
            raise UnreadableImageError('it cannot be decoded')
        if height is None or width is None or image.shape[:2] == (height, width):
            return image
        if image.shape[:2] == (width, height) and self.color_type == 'color':
            as_stored = mmcv.imfrombytes(content, flag='color_ignore_orientation', backend=self.imdecode_backend)
            if as_stored is not None and as_stored.shape[:2] == (height, width):
                return as_stored
        raise UnreadableImageError(f'it is {image.shape[1]}x{image.shape[0]}, annotated is {width}x{height}')

    def _note(self, path: str, reason: str) -> None:
        if self.report and path not in self._noted:
            self._noted.add(path)
            note(self.report, [Skipped(self.split, 'image', str(path), reason)])


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return 'missing'
    if isinstance(error, IsADirectoryError):
        return 'a folder'
    if isinstance(error, UnreadableImageError):
        return str(error)
    return f'{type(error).__name__}: {" ".join(str(error).split())[:160]}'


def guard_images(part: Any, unreadable: str, split: str, report: str | Path) -> None:
    """Replaces mmcv's ``LoadImageFromFile`` by ours in all pipelines of a part of a config."""
    for _, node in nodes(part):
        if node.get('type') in GUARDED and 'unreadable' not in node:
            node.update(type='se_mm.LoadImageFromFile', unreadable=unreadable, split=split, report=str(report))
