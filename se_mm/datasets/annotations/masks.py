"""COCO's segmentations: polygons, or run lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def mended(mask: Any, width: int, height: int) -> tuple[Any, str | None]:
    """A segmentation as mmdet and pycocotools can read it, and what was wrong.

    Args:
        mask: polygons (lists of x, y, x, y, ...), or run lengths (``counts`` and ``size``).
        width: of the picture, in pixels.
        height: of the picture.

    Returns:
        The mask, ``None`` where it cannot be used; and the reason for either.

    Example:
        >>> mended([[1, 1, 5, 1, 5, 5], [1, 1]], 8, 8)
        ([[1, 1, 5, 1, 5, 5]], 'with polygons that are none in its mask: without them')
    """
    if not mask:
        return None, 'without a mask'
    if isinstance(mask, list):
        flat = not any(isinstance(part, list) for part in mask)
        polygons = [mask] if flat else mask
        good = [part for part in polygons if _is_polygon(part)]
        if not good:
            return None, 'with a mask that is no polygon'
        if len(good) < len(polygons):
            return good, 'with polygons that are none in its mask: without them'
        return (good, 'whose mask is one list: a polygon') if flat else (mask, None)
    return (mask, None) if _fits(mask, width, height) else (None, 'with run lengths that do not fit its picture')


def _is_polygon(part: Any) -> bool:
    try:
        return len(part) >= 6 and not len(part) % 2 and math.isfinite(sum(part))
    except (TypeError, OverflowError):
        return False


def _fits(mask: Any, width: int, height: int) -> bool:
    """Whether run lengths are those of a picture of this size."""
    try:
        counts = mask['counts'] if isinstance(mask['counts'], list) else _lengths(mask['counts'])
        fits = all(type(count) is int and count >= 0 for count in counts) and sum(counts) == height * width
        return fits and list(mask['size']) == [height, width]
    except (KeyError, TypeError, IndexError):
        return False


def _lengths(text: str) -> list[int]:
    """Run lengths from the text of pycocotools: 5 bits each and one for more; from the fourth on differences."""
    lengths: list[int] = []
    value = shift = 0
    for char in text:
        bits = ord(char) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << 1 << (shift - 5)
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return lengths


def scaled(mask: Any, factor: float, width: int, height: int) -> Any:
    """A mask for a picture that was resized to a size: polygons to three digits, run lengths by the nearest pixel.

    Example:
        >>> scaled([[2, 2, 6, 2, 6, 6]], 0.5, 4, 4)
        [[1.0, 1.0, 3.0, 1.0, 3.0, 3.0]]
    """
    if isinstance(mask, list):
        parts = (scaled(part, factor, width, height) for part in mask)
        return [round(part * factor, 3) if isinstance(part, (int, float)) else part for part in parts]
    if not (isinstance(mask, dict) and mask.get('size') and _fits(mask, *reversed(mask['size']))):
        return mask  # a number, or what is said of a mask where masks are mended
    import cv2
    from pycocotools import mask as rle

    given = rle.frPyObjects(mask, *mask['size']) if isinstance(mask['counts'], list) else mask
    pixels = cv2.resize(rle.decode(given), (width, height), interpolation=cv2.INTER_NEAREST)
    counts = rle.encode(np.asfortranarray(pixels))['counts'].decode()
    return {'size': [height, width], 'counts': counts}


def box_of(mask: Any) -> list[float] | None:
    """x, y, width and height of the polygons of a mask; ``None`` where it has none.

    Example:
        >>> box_of([[1, 2, 5, 2, 5, 9]])
        [1.0, 2.0, 4.0, 7.0]
    """
    polygons = [part for part in mask if _is_polygon(part)] if isinstance(mask, list) and mask else []
    if not polygons:
        return None
    points = np.concatenate([np.array(part, float).reshape(-1, 2) for part in polygons])
    low, high = points.min(0), points.max(0)
    return [*low.tolist(), *(high - low).tolist()]
