"""Jitter of pixel values."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from ...errors import SeMmError
from ...registry import TRANSFORMS


@TRANSFORMS.register_module()
class PixelJitter(BaseTransform):
    """Adds one random number to all values of a picture of 8 bits, clipped to 0 to 255.

    The authors' release was trained with "pixel jitter: -20 ~ 20"
    (https://github.com/hujie-frank/SENet), without saying whether it is a number for a picture,
    a channel or a pixel. It is one for a picture here.

    Args:
        delta: the largest number that is added or subtracted.

    Raises:
        SeMmError: if it is no whole number from 0 to 255.

    Example:
        >>> np.random.seed(0)
        >>> PixelJitter(20)({'img': np.array([[0, 100, 250]], np.uint8)})['img'].tolist()
        [[0, 80, 230]]
    """

    def __init__(self, delta: int) -> None:
        if not isinstance(delta, int) or not 0 <= delta <= 255:
            raise SeMmError(f'delta must be a whole number from 0 to 255, got {delta!r}')
        self.delta = delta

    @cache_randomness
    def _offset(self) -> int:
        return int(np.random.randint(-self.delta, self.delta + 1))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        picture = results['img'].astype(np.int16) + self._offset()
        results['img'] = picture.clip(0, 255).astype(np.uint8)
        return results
