"""Crops for ten-crop testing."""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform

from ...errors import SeMmError
from ...registry import TRANSFORMS

CORNERS = ('top_left', 'top_right', 'bottom_left', 'bottom_right')


@TRANSFORMS.register_module()
class CornerCrop(BaseTransform):
    """Crops a square from a corner of the image; four corners, the centre and their flips are the ten crops.

    Args:
        crop_size: side of the square, in pixels.
        corner: one of ``CORNERS``.

    Raises:
        SeMmError: for another corner, or a picture that is smaller than the square.

    Example:
        >>> import numpy as np
        >>> picture = np.arange(12).reshape(3, 4, 1)
        >>> CornerCrop(2, 'bottom_right')({'img': picture})['img'][..., 0].tolist()
        [[6, 7], [10, 11]]
    """

    def __init__(self, crop_size: int, corner: str) -> None:
        if corner not in CORNERS:
            raise SeMmError(f'corner must be one of {CORNERS}, got {corner!r}')
        self.crop_size = crop_size
        self.corner = corner

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        picture, size = results['img'], self.crop_size
        height, width = picture.shape[:2]
        if min(height, width) < size:
            raise SeMmError(f'a picture of {height} x {width} has no corner of {size} x {size}; resize it first')
        top = 0 if self.corner.startswith('top') else height - size
        left = 0 if self.corner.endswith('left') else width - size
        results['img'] = picture[top : top + size, left : left + size]
        results['img_shape'] = (size, size)
        return results
