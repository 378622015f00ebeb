"""Colours for classes."""

from __future__ import annotations

import colorsys


def palette(count: int) -> list[tuple[int, ...]]:
    """Colours that differ, RGB from 0 to 255.

    Example:
        >>> palette(2)
        [(255, 102, 102), (0, 255, 255)]
    """
    colours = (colorsys.hsv_to_rgb(i / count, 0.6 + 0.4 * (i % 2), 1 - 0.3 * (i % 3 == 2)) for i in range(count))
    return [tuple(round(255 * value) for value in colour) for colour in colours]
