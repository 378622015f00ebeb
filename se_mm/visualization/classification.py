"""Pictures of what a classifier says, and of what it confuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .figures import new_figure, save_figure


def draw_best(image: np.ndarray, scores: Mapping[str, float], path: Path) -> None:
    """Writes a PNG: a picture, and the probabilities of its best classes as bars.

    Args:
        image: (H, W, 3), BGR.
        scores: a probability by class, the best first.
        path: the PNG to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, (left, right) = new_figure(1, 2, figsize=(10, 4), layout='constrained', width_ratios=(3, 2))
    left.imshow(image[..., ::-1])
    left.axis('off')
    bars = right.barh(range(len(scores)), list(scores.values()))
    right.bar_label(bars, fmt='%.3f', padding=3)
    right.set_yticks(range(len(scores)), list(scores))
    right.invert_yaxis()
    right.set(xlabel='probability', xlim=(0, 1.15))
    save_figure(figure, path, dpi=100)


def draw_confusion(matrix: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Writes a PNG: the confusion matrix on the left, the pairs that are confused most on the right.

    Args:
        matrix: (K, K) counts, ground truth by prediction.
        classes: the K names.
        path: the PNG to write.
    """
    figure, (left, right) = new_figure(1, 2, figsize=(16, 8), layout='constrained')
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    image = left.imshow(share, cmap='viridis', vmin=0, vmax=1, interpolation='nearest')
    figure.colorbar(image, ax=left, label='share of the class', shrink=0.7)
    left.set(xlabel='predicted', ylabel='ground truth', title=f'{matrix.trace() / max(matrix.sum(), 1):.1%} right')
    if len(classes) <= 40:
        left.set_xticks(range(len(classes)), classes, rotation=90, fontsize=8)
        left.set_yticks(range(len(classes)), classes, fontsize=8)
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
    pairs = [tuple(int(i) for i in np.unravel_index(place, share.shape)) for place in order]
    return [pair for pair in pairs if share[pair] > 0]
