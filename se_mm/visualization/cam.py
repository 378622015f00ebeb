"""A picture of what one detection depends on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.patches import Rectangle

from .figures import new_figure, save_figure

#: Channels of each map that are drawn as bars.
TOP = 8


def draw_cam(
    image: np.ndarray,
    box: np.ndarray,
    title: str,
    maps: Sequence[np.ndarray],
    channels: Sequence[np.ndarray],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    path: Path,
) -> None:
    """Writes a PNG: the box, the maps over the picture, and below each the channels that speak most for the box.

    Args:
        image: (H, W, 3), RGB.
        box: x1, y1, x2, y2 in its pixels.
        title: class and score.
        maps: for each input of the neck (h, w), not negative.
        channels: for each input of the neck the contribution of each channel, (C,).
        sizes: height and width as the network saw them, with and without padding.
        path: the PNG to write.
    """
    overlays = [_over(level, sizes, image.shape[:2]) for level in maps]
    columns = 1 + len(maps)
    figure, grid = new_figure(
        2, columns, figsize=(3.2 * columns, 5.2), layout='constrained', squeeze=False, height_ratios=(3, 2)
    )
    names = [_name(level, sizes) for level in maps]
    titles = [f'{name}, {level.shape[0]}x{level.shape[1]}' for name, level in zip(names, maps, strict=True)]
    shown = [(title, sum(overlays)), *zip(titles, overlays, strict=True)]
    for axes, (name, overlay) in zip(grid[0], shown, strict=True):
        axes.imshow(image)
        if overlay.max() > 0:
            axes.imshow(overlay / overlay.max(), cmap='jet', alpha=0.45, vmin=0, vmax=1)
        axes.add_patch(Rectangle(box[:2], *(box[2:] - box[:2]), fill=False, color='white', lw=1.5))
        axes.set_title(name, fontsize=9)
        axes.set_axis_off()
    total = max(sum(float(np.abs(values).sum()) for values in channels), 1e-12)
    nets = np.array([float(values.sum()) for values in channels])  # a map may speak against the box
    grid[1][0].bar(range(len(maps)), nets / max(np.abs(nets).sum(), 1e-12))
    grid[1][0].axhline(0, color='k', lw=0.8)
    grid[1][0].set_xticks(range(len(maps)), names, fontsize=8)
    grid[1][0].tick_params(axis='y', labelsize=7)
    grid[1][0].set_title('share of each map', fontsize=9)
    for axes, values in zip(grid[1][1:], channels, strict=True):
        best = np.argsort(-values)[:TOP]
        axes.barh(range(len(best)), values[best] / total)
        axes.set_yticks(range(len(best)), [str(channel) for channel in best], fontsize=7)
        axes.invert_yaxis()
        axes.set_title('channels that speak for it', fontsize=9)
        axes.tick_params(labelsize=7)
    save_figure(figure, path, dpi=110)


def _name(level: np.ndarray, sizes: tuple[tuple[int, int], tuple[int, int]]) -> str:
    """C3 for a map of stride 8, whatever stages the neck takes."""
    return f'C{round(np.log2(sizes[0][0] / level.shape[0]))}'


def _over(level: np.ndarray, sizes: tuple[tuple[int, int], tuple[int, int]], shape: tuple[int, int]) -> np.ndarray:
    """A map in the pixels of the picture, without the padding."""
    (height, width), (rows, columns) = sizes
    padded = cv2.resize(level.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(padded[:rows, :columns], (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
