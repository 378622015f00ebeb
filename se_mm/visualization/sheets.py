"""Many pictures on one sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import mmcv
import numpy as np

MARGIN = 8
CAPTION = 20
WHITE = (255, 255, 255)


def compose(
    aspects: Sequence[float], captions: Sequence[str], draw: Callable[[int, int], np.ndarray], width: int = 1600
) -> np.ndarray:
    """Pictures in rows of one width, each under its caption: two in a row, three in some where their number is odd.

    Args:
        aspects: width / height of each picture.
        captions: a line for each.
        draw: gives picture number i, (height, width, 3) RGB, for (i, height).
        width: of the sheet, in pixels.

    Returns:
        (height, width, 3), RGB.
    """
    rows = []
    for members in np.array_split(np.arange(len(aspects)), max(len(aspects) // 2, 1)):
        room = width - MARGIN * (len(members) + 1)
        height = max(round(room / sum(aspects[i] for i in members)), 1)
        pictures = [_captioned(draw(i, height), captions[i]) for i in members]
        row = np.hstack([cv2.copyMakeBorder(p, 0, 0, MARGIN, 0, cv2.BORDER_CONSTANT, None, WHITE) for p in pictures])
        rows.append(mmcv.imresize(row, (width - MARGIN, row.shape[0])))  # widths were rounded
    return cv2.copyMakeBorder(np.vstack(rows), 0, MARGIN, 0, MARGIN, cv2.BORDER_CONSTANT, None, WHITE)


def _captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    strip = np.full((CAPTION, picture.shape[1], 3), 255, np.uint8)
    text = caption.encode('ascii', 'replace').decode()  # all that OpenCV's fonts have
    cv2.putText(strip, text, (0, CAPTION - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([strip, picture])
