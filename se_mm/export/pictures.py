"""From a picture file to the input of an exported model, and the pictures of a test set that a file is compared on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mmcv
import numpy as np

from ..datasets.transforms.loading import LoadImageFromFile, UnreadableImageError
from ..errors import SeMmError
from ..utils.type_names import type_name

_USUAL = {'interpolation': 'bilinear', 'backend': 'cv2'}
#: Transforms of a test pipeline that leave the pixels as they are.
_OTHERS = ('LoadImageFromFile', 'LoadAnnotations', 'PackDetInputs', 'PackInputs')


def describe_resizing(pipeline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the test pipeline of a config does to the size of a picture, as plain data for :func:`prepare`.

    Returns:
        ``resize`` to (width, height), or within it for ``keep_ratio``; ``short_edge`` or ``long_edge`` to a length;
        ``crop`` of the centre, (width, height).

    Raises:
        SeMmError: for a transform that none of these describes.

    Example:
        >>> describe_resizing([dict(type='Resize', scale=(1333, 800), keep_ratio=True), dict(type='PackDetInputs')])
        [{'resize': [1333, 800], 'keep_ratio': True, 'interpolation': 'bilinear', 'backend': 'cv2'}]
    """
    steps: list[dict[str, Any]] = []
    for transform in pipeline:
        kind = type_name(transform)
        how = {name: transform.get(name) or usual for name, usual in _USUAL.items()}
        if kind == 'Resize' and transform.get('scale') is not None:
            steps.append({'resize': _pair(transform['scale']), 'keep_ratio': bool(transform.get('keep_ratio')), **how})
        elif kind == 'ResizeEdge' and transform.get('edge', 'short') in ('short', 'long'):
            steps.append({f'{transform.get("edge", "short")}_edge': int(transform['scale']), **how})
        elif kind == 'CenterCrop' and not transform.get('auto_pad'):
            steps.append({'crop': _pair(transform['crop_size'])})
        elif kind not in _OTHERS:
            raise SeMmError(
                f'test_dataloader.dataset.pipeline has {kind}, which an exported file cannot describe; '
                'expected LoadImageFromFile, Resize, ResizeEdge, CenterCrop and PackDetInputs or PackInputs'
            )
    return steps


def _pair(size: Any) -> list[int]:
    return [int(size)] * 2 if isinstance(size, (int, float)) else [int(side) for side in size]


def prepare(image: np.ndarray, steps: Sequence[Mapping[str, Any]], scale: float = 1.0) -> np.ndarray:
    """Resizes and crops a picture as the test pipeline does.

    Args:
        image: (H, W, 3), as OpenCV reads it.
        steps: of :func:`describe_resizing`.
        scale: a factor for all sizes.

    Returns:
        (H', W', 3).

    Example:
        >>> image = np.zeros((480, 640, 3), np.uint8)
        >>> prepare(image, [{'resize': [1333, 800], 'keep_ratio': True}]).shape
        (800, 1067, 3)
        >>> prepare(image, [{'short_edge': 256}, {'crop': [224, 200]}]).shape
        (200, 224, 3)
    """
    for step in steps:
        height, width = image.shape[:2]
        if 'crop' in step:
            wanted = [round(side * scale) for side in step['crop']]
            left, top = (max(0, round((have - want) / 2)) for have, want in zip((width, height), wanted, strict=True))
            image = image[top : top + wanted[1], left : left + wanted[0]]
        else:
            size = _resized_size(width, height, step, scale)
            image = mmcv.imresize(image, size, **{name: step.get(name, usual) for name, usual in _USUAL.items()})
    return np.ascontiguousarray(image)


def _resized_size(width: int, height: int, step: Mapping[str, Any], scale: float) -> tuple[int, int]:
    if 'resize' in step:
        wanted = tuple(round(side * scale) for side in step['resize'])
        return mmcv.rescale_size((width, height), wanted) if step.get('keep_ratio') else wanted
    edge = 'short_edge' if 'short_edge' in step else 'long_edge'
    length = round(step[edge] * scale)
    if (width < height) == (edge == 'short_edge') and width != height:
        return length, int(length * height / width)
    return int(length * width / height), length


def read_picture(path: str) -> np.ndarray:
    """(H, W, 3), BGR; an ``SeMmError`` if it cannot be read."""
    try:
        return LoadImageFromFile()({'img_path': path})['img']
    except UnreadableImageError as error:
        raise SeMmError(f'{error}; leave it out, or name other pictures') from error


def of_test_set(dataset: Any, count: int, resizing: Sequence[Mapping[str, Any]] | None) -> dict[str, np.ndarray]:
    """Pictures of a test set, (H, W, 3) and BGR, by their names.

    Args:
        dataset: of mmdet or mmpretrain.
        count: at most so many, spread over the set.
        resizing: for pictures that all become as large as the first one; ``None``: of any size.

    Raises:
        SeMmError: if the set has neither files nor pixels, or a file cannot be read.
    """
    order = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    if resizing is not None:
        order += range(len(dataset))
    images: dict[str, np.ndarray] = {}
    shape = None
    for i in dict.fromkeys(order):
        info = dataset.get_data_info(i)
        if 'img' not in info and 'img_path' not in info:
            raise SeMmError(f'{type(dataset).__name__} of test_dataloader names no files; name pictures by --images')
        image = info['img'] if 'img' in info else read_picture(info['img_path'])
        resized = None if resizing is None else prepare(image, resizing).shape
        shape = shape or resized
        if resized == shape:
            images[str(info.get('img_path') or f'test picture {i}')] = image
        if len(images) == count:
            break
    return images
