"""Detections beside the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import mmcv
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from .figures import new_figure, save_figure


def draw_sheet(samples: Sequence[Any], classes: Sequence[str], path: Path, score_threshold: float) -> None:
    """Writes a PNG with the ground truth of each image on the left of its predictions.

    Args:
        samples: mmdet's ``DetDataSample`` with ``img_path``, ``gt_instances`` and ``pred_instances``.
        classes: the names of the labels.
        path: the PNG to write.
        score_threshold: predictions below it are not drawn.
    """
    columns = 2
    rows = -(-len(samples) // columns)
    figure, grid = new_figure(
        rows, 2 * columns, figsize=(4 * columns * 1.6, 3.2 * rows), squeeze=False, layout='constrained'
    )
    colours = matplotlib.colormaps['tab10' if len(classes) <= 10 else 'gist_rainbow'].resampled(max(len(classes), 10))
    for axes in grid.flat:
        axes.axis('off')
    for i, sample in enumerate(samples):
        truth, predicted = grid[i // columns][2 * (i % columns) : 2 * (i % columns) + 2]
        image = mmcv.imread(sample.img_path, channel_order='rgb')
        for axes, title in (
            (truth, Path(sample.img_path).name),
            (predicted, f'predicted, score over {score_threshold}'),
        ):
            axes.imshow(image)
            axes.set_title(title, fontsize=9)
        gt, pred = sample.gt_instances, sample.pred_instances
        pred = pred[pred.scores > score_threshold]
        # mmdet scales predictions back to the file's size, and leaves the ground truth as the pipeline resized it.
        scale = np.tile(np.asarray(sample.metainfo.get('scale_factor', (1.0, 1.0)), dtype=float), 2)
        _draw_boxes(truth, np.asarray(_array(gt.bboxes)) / scale, _array(gt.labels), None, classes, colours)
        _draw_boxes(predicted, _array(pred.bboxes), _array(pred.labels), _array(pred.scores), classes, colours)
    save_figure(figure, path, dpi=100)


def _array(boxes: Any) -> np.ndarray:
    return getattr(boxes, 'tensor', boxes).detach().cpu().numpy()


def _draw_boxes(
    axes: Axes, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray | None, classes: Sequence[str], colours: Any
) -> None:
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        colour = colours(int(labels[i]))
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, lw=1.5, ec=colour))
        text = classes[labels[i]] if scores is None else f'{classes[labels[i]]} {scores[i]:.2f}'
        box = {'facecolor': colour, 'edgecolor': 'none', 'pad': 0.6, 'alpha': 0.8}
        axes.text(x1, y1, text, fontsize=6, color='white', va='bottom', bbox=box, clip_on=True)
