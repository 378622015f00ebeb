"""Pictures of what a classifier says, and of what it confuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmpretrain.structures import DataSample
from mmpretrain.visualization import UniversalVisualizer

from .figures import new_figure, save_figure

#: So many classes have their names, and their counts, in the picture of a confusion matrix.
NAMED_CLASSES, COUNTED_CLASSES = 40, 30


def draw_classified(image: np.ndarray, sample: DataSample, classes: Sequence[str], height: int = 320) -> np.ndarray:
    """An image with its class and, where it is known, the ground truth, by mmpretrain's ``UniversalVisualizer``.

    Args:
        image: (H, W, 3), RGB.
        sample: mmpretrain's, with ``pred_label`` and ``pred_score``.
        classes: the names of the labels.
        height: of the drawn picture.

    Returns:
        (height, width, 3), RGB.
    """
    scaled = mmcv.imresize(image, (max(round(image.shape[1] * height / image.shape[0]), 1), height))
    return UniversalVisualizer(name='se_mm').visualize_cls(scaled, sample, classes=list(classes))


def draw_confusion(matrix: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Writes a PNG: the confusion matrix on the left, the pairs that are confused most on the right.

    Args:
        matrix: (K, K) counts, ground truth by prediction.
        classes: the K names.
        path: the PNG to write.
    """
    count = len(classes)
    size = min(max(8.0, 0.5 * count), 15.0)
    ratios = (size, 8 - size / 4)
    figure, (left, right) = new_figure(1, 2, figsize=(size + 8, size), layout='constrained', width_ratios=ratios)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = left.imshow(share, cmap='viridis', vmin=0, vmax=1, interpolation='nearest')
    figure.colorbar(image, ax=left, label='share of the class', shrink=0.7)
    left.set(xlabel='predicted', ylabel='ground truth', title=f'{matrix.trace() / max(matrix.sum(), 1):.1%} right')
    if count <= NAMED_CLASSES:
        left.set_xticks(range(count), classes, rotation=90, fontsize=8)
        left.set_yticks(range(count), classes, fontsize=8)
    if count <= COUNTED_CLASSES:
        for (truth, guess), number in np.ndenumerate(matrix):
            colour = 'black' if share[truth, guess] > 0.5 else 'white'
            left.text(guess, truth, f'{number:.0f}', ha='center', va='center', color=colour, fontsize=7)
    pairs = worst_pairs(matrix)
    names = [f'{classes[truth]} taken for {classes[guess]}' for truth, guess in pairs]
    rates = [share[pair] for pair in pairs]
    bars = right.barh(range(len(pairs)), rates)
    right.bar_label(bars, [f'{matrix[t, g]:.0f} of {matrix[t].sum():.0f}' for t, g in pairs], padding=3, fontsize=8)
    right.set_yticks(range(len(pairs)), names, fontsize=8)
    right.invert_yaxis()
    right.set(xlabel='share of the class', title='confused most', xlim=(0, 1.2 * max(rates, default=1)))
    save_figure(figure, path, dpi=120)


def worst_pairs(matrix: np.ndarray, most: int = 20) -> list[tuple[int, int]]:
    """The pairs (ground truth, prediction) with the largest share of their class, the worst first.

    Example:
        >>> worst_pairs(np.array([[8, 2, 0], [0, 5, 5], [0, 0, 9]]))
        [(1, 2), (0, 1)]
    """
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    np.fill_diagonal(share, 0)
    order = np.argsort(-share, axis=None, kind='stable')[:most]
    return [divmod(int(place), len(matrix)) for place in order if share.flat[place] > 0]
