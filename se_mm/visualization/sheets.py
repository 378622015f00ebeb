"""Many pictures on one sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import mmcv
import numpy as np

MARGIN = 8
CAPTION = 20
WHITE = (255, 255, 255)


def row_heights(aspects: Sequence[float], width: int = 1600) -> list[tuple[int, int]]:
    """How pictures fill rows of one width: two in a row, three in some where their number is odd.

    Args:
        aspects: width / height of each picture.
        width: of the sheet, in pixels.

    Returns:
        For each picture the number of its row, and its height there.

    Example:
        >>> row_heights([2, 2, 2, 1, 1], width=624)
        [(0, 99), (0, 99), (0, 99), (1, 300), (1, 300)]
    """
    placed = []
    for row, members in enumerate(np.array_split(np.asarray(aspects, dtype=float), max(len(aspects) // 2, 1))):
        room = width - MARGIN * (len(members) + 1)
        placed += [(row, max(round(room / members.sum()), 1))] * len(members)
    return placed


def compose(
    aspects: Sequence[float], captions: Sequence[str], draw: Callable[[int, int], np.ndarray], width: int = 1600
) -> np.ndarray:
    """Pictures in rows of one width, each under its caption.

    Args:
        aspects: width / height of each picture.
        captions: a line for each.
        draw: gives picture number i, (height, width, 3) RGB, for (i, height).
        width: of the sheet, in pixels.

    Returns:
        The sheet, RGB.
    """
    rows: dict[int, list[np.ndarray]] = {}
    for i, (row, height) in enumerate(row_heights(aspects, width)):
        picture = _captioned(draw(i, height), captions[i])
        rows.setdefault(row, []).append(cv2.copyMakeBorder(picture, 0, 0, MARGIN, 0, cv2.BORDER_CONSTANT, None, WHITE))
    sheet = [np.hstack(pictures) for pictures in rows.values()]
    sheet = [mmcv.imresize(row, (width - MARGIN, row.shape[0])) for row in sheet]  # widths were rounded
    return cv2.copyMakeBorder(np.vstack(sheet), 0, MARGIN, 0, MARGIN, cv2.BORDER_CONSTANT, None, WHITE)


def _captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    strip = np.full((CAPTION, picture.shape[1], 3), 255, np.uint8)
    text = caption.encode('ascii', 'replace').decode()  # all that OpenCV's fonts have
    cv2.putText(strip, text, (0, CAPTION - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([strip, picture])
