"""From a picture file to the input of an exported model, with numpy, OpenCV and Pillow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ..errors import SeMmError
from ..utils.type_names import type_name

_CV2 = {'bilinear': cv2.INTER_LINEAR, 'nearest': cv2.INTER_NEAREST, 'bicubic': cv2.INTER_CUBIC, 'area': cv2.INTER_AREA}
_PILLOW = {'bilinear': Image.BILINEAR, 'nearest': Image.NEAREST, 'bicubic': Image.BICUBIC, 'lanczos': Image.LANCZOS}
#: Transforms of a test pipeline that leave the pixels as they are.
_OTHERS = ('LoadImageFromFile', 'LoadAnnotations', 'PackDetInputs', 'PackInputs')


def describe_resizing(pipeline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a test pipeline does to the size of a picture, as plain data for :func:`prepare`.

    Args:
        pipeline: of a config.

    Returns:
        The steps: ``resize`` to (width, height), or within it for ``keep_ratio``; ``short_edge``
        or ``long_edge`` to a length; ``crop`` of the centre, (width, height).

    Raises:
        SeMmError: for a transform that none of these describes.

    Example:
        >>> describe_resizing([dict(type='Resize', scale=(1333, 800), keep_ratio=True), dict(type='PackDetInputs')])
        [{'resize': [1333, 800], 'keep_ratio': True, 'interpolation': 'bilinear', 'backend': 'cv2'}]
    """
    steps: list[dict[str, Any]] = []
    for transform in pipeline:
        kind = type_name(transform)
        defaults = {'interpolation': 'bilinear', 'backend': 'cv2'}
        how = {name: transform.get(name) or default for name, default in defaults.items()}
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


def prepare(image: np.ndarray, steps: Sequence[Mapping[str, Any]], scale: float = 1.0) -> np.ndarray:
    """Resizes and crops a picture as the test pipeline does.

    Args:
        image: (H, W, 3), as OpenCV reads it.
        steps: of :func:`describe_resizing`.
        scale: a factor for all sizes.

    Returns:
        (H', W', 3).

    Example:
        >>> step = {'resize': [1333, 800], 'keep_ratio': True}
        >>> prepare(np.zeros((480, 640, 3), np.uint8), [step]).shape
        (800, 1067, 3)
    """
    for step in steps:
        height, width = image.shape[:2]
        if 'crop' in step:
            wanted = [round(side * scale) for side in step['crop']]
            left, top = (max(0, round((have - want) / 2)) for have, want in zip((width, height), wanted, strict=True))
            image = image[top : top + wanted[1], left : left + wanted[0]]
        else:
            image = _resized(image, resized_size(width, height, step, scale), step)
    return np.ascontiguousarray(image)


def resized_size(width: int, height: int, step: Mapping[str, Any], scale: float = 1.0) -> tuple[int, int]:
    """The width and height that a step makes of a picture's.

    Example:
        >>> resized_size(500, 333, {'short_edge': 256}), resized_size(500, 333, {'resize': [64, 32]})
        ((384, 256), (64, 32))
    """
    if 'resize' in step:
        wanted = [round(side * scale) for side in step['resize']]
        if not step.get('keep_ratio'):
            return wanted[0], wanted[1]
        factor = min(max(wanted) / max(width, height), min(wanted) / min(width, height))
        return int(width * factor + 0.5), int(height * factor + 0.5)
    edge = 'short_edge' if 'short_edge' in step else 'long_edge'
    length = round(step[edge] * scale)
    if (width < height) == (edge == 'short_edge') and width != height:
        return length, int(length * height / width)
    return int(length * width / height), length


def _resized(image: np.ndarray, size: tuple[int, int], step: Mapping[str, Any]) -> np.ndarray:
    interpolation = step.get('interpolation', 'bilinear')
    if step.get('backend') == 'pillow':
        return np.asarray(Image.fromarray(image).resize(size, _PILLOW[interpolation]))
    return cv2.resize(image, size, interpolation=_CV2[interpolation])


def _pair(size: Any) -> list[int]:
    """(width, height)."""
    return [int(size)] * 2 if isinstance(size, (int, float)) else [int(side) for side in size]
