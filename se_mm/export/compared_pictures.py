"""The pictures that an exported file is compared with PyTorch on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..datasets.transforms.loading import LoadImageFromFile, UnreadableImageError
from ..errors import SeMmError
from .pictures import prepare


def of_test_set(dataset: Any, count: int, resizing: Sequence[Mapping[str, Any]] | None) -> dict[str, np.ndarray]:
    """Pictures of a test set, (H, W, 3) and BGR, by their names.

    Args:
        dataset: of mmdet or mmpretrain.
        count: at most so many, spread over the set.
        resizing: of :func:`~se_mm.export.pictures.describe_resizing`: all of them become as large as the first one;
            ``None``: pictures of any size.

    Raises:
        SeMmError: if the set has neither files nor pixels, or a file cannot be read.
    """
    order = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    if resizing is not None:
        order += range(len(dataset))
    images: dict[str, np.ndarray] = {}
    size = None
    for i in dict.fromkeys(order):
        info = dataset.get_data_info(i)
        if 'img' not in info and 'img_path' not in info:
            raise SeMmError(f'{type(dataset).__name__} of test_dataloader names no files; name pictures by --images')
        image = info['img'] if 'img' in info else read_picture(info['img_path'])
        found = None if resizing is None else prepare(image, resizing).shape
        size = size or found
        if found == size:
            images[str(info.get('img_path') or f'test picture {i}')] = image
        if len(images) == count:
            break
    return images


def sizes_of(dataset: Any, resizing: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """What the pictures of a test set become, one name for each, as far as its annotations say how large they are."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    named = {(info['height'], info['width']): info['img_path'] for info in infos if info.get('height')}
    return {name: prepare(np.zeros((*size, 3), np.uint8), resizing).shape[:2] for size, name in named.items()}


def refuse_other_sizes(sizes: Mapping[str, tuple[int, int]], size: tuple[int, int]) -> None:
    """Refuses pictures that a file of a fixed size cannot take.

    Args:
        sizes: heights and widths after resizing, by the names of the pictures.
        size: of the file.

    Raises:
        SeMmError: for the first of another size.
    """
    for name, (height, width) in sizes.items():
        if (height, width) != size:
            raise SeMmError(
                f'a file of a fixed size takes the {size[0]}x{size[1]} of the first picture alone, and {name} becomes '
                f'{height}x{width}; use --dynamic batch,size, or pictures of one size'
            )


def read_picture(path: str) -> np.ndarray:
    """(H, W, 3), BGR.

    Raises:
        SeMmError: if it cannot be read.
    """
    try:
        return LoadImageFromFile()({'img_path': path})['img']
    except UnreadableImageError as error:
        raise SeMmError(f'{error}; leave it out, or name other pictures') from error
