"""What people would rather look at than read: curves, tables, detections beside the ground truth."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import mmcv
import numpy as np

matplotlib.use('Agg')
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from rich.console import Console
from rich.table import Table

from .atomic import write_whole

SMOOTHED_POINTS = 200


def draw_curves(losses: Mapping[str, np.ndarray], validations: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes a PNG: the training losses on the left, the validation metrics on the right.

    Args:
        losses: one value an iteration, by name.
        validations: ``epoch``, ``iter`` and the metrics of each validation.
        path: the PNG to write.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout='constrained')
    # The name of the total is mmengine's; its parts are drawn thin around it.
    for name, values in sorted(losses.items(), key=lambda item: item[0] != 'loss'):
        values = np.asarray(values, dtype=float)
        window = max(1, len(values) // SMOOTHED_POINTS)
        smooth = values[: len(values) // window * window].reshape(-1, window).mean(1)
        left.plot(np.arange(1, len(smooth) + 1) * window, smooth, label=name, lw=2 if name == 'loss' else 0.8)
    left.set(xlabel='iteration', ylabel='training loss', yscale='log')
    for name in _metric_names(validations):
        points = [(entry['iter'], entry[name]) for entry in validations if entry.get(name, -1) >= 0]
        if points:
            right.plot(*zip(*points, strict=True), marker='.', label=_label(name))
    right.set(xlabel='iteration', ylabel='validation')
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
        else:
            axes.text(0.5, 0.5, 'nothing recorded', ha='center', transform=axes.transAxes)
    _save(figure, path, dpi=120)


def print_table(validations: Sequence[Mapping[str, Any]]) -> None:
    """Prints one row a validation; the best value of each metric is bold.

    A value below zero is pycocotools' word for "no such ground truth" and shows as a dash.
    """
    names = _metric_names(validations)
    if not names:
        return
    table = Table('epoch', *map(_label, names), title='validation')
    best = {name: max(entry.get(name, -1) for entry in validations) for name in names}
    for entry in validations:
        values = [entry.get(name, -1) for name in names]
        cells = ['-' if v < 0 else f'{v:.3f}' for v in values]
        bold = [
            f'[bold]{cell}[/]' if v == best[name] >= 0 else cell
            for name, v, cell in zip(names, values, cells, strict=True)
        ]
        table.add_row(str(entry['epoch']), *bold)
    Console().print(table)


def _metric_names(validations: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for entry in validations for name in entry if name not in ('epoch', 'iter')))


def _label(metric: str) -> str:
    """``coco/bbox_mAP_50`` is ``mAP_50``; masks keep their ``segm_``."""
    return metric.rsplit('/', 1)[-1].removeprefix('bbox_')


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
    figure, grid = plt.subplots(
        rows, 2 * columns, figsize=(4 * columns * 1.6, 3.2 * rows), squeeze=False, layout='constrained'
    )
    colours = plt.get_cmap('tab10' if len(classes) <= 10 else 'gist_rainbow', max(len(classes), 10))
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
    _save(figure, path, dpi=100)


def _array(boxes: Any) -> np.ndarray:
    return getattr(boxes, 'tensor', boxes).detach().cpu().numpy()


def _draw_boxes(
    axes: Axes, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray | None, classes: Sequence[str], colours: Any
) -> None:
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        colour = colours(int(labels[i]))
        axes.add_patch(plt.Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, lw=1.5, ec=colour))
        text = classes[labels[i]] if scores is None else f'{classes[labels[i]]} {scores[i]:.2f}'
        box = {'facecolor': colour, 'edgecolor': 'none', 'pad': 0.6, 'alpha': 0.8}
        axes.text(x1, y1, text, fontsize=6, color='white', va='bottom', bbox=box, clip_on=True)


def draw_best(image: np.ndarray, scores: Mapping[str, float], path: Path) -> None:
    """Writes a PNG: a picture, and the probabilities of its best classes as bars.

    Args:
        image: (H, W, 3), BGR.
        scores: a probability by class, the best first.
        path: the PNG to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout='constrained', width_ratios=(3, 2))
    left.imshow(image[..., ::-1])
    left.axis('off')
    bars = right.barh(range(len(scores)), list(scores.values()))
    right.bar_label(bars, fmt='%.3f', padding=3)
    right.set_yticks(range(len(scores)), list(scores))
    right.invert_yaxis()
    right.set(xlabel='probability', xlim=(0, 1.15))
    _save(figure, path, dpi=100)


def draw_confusion(matrix: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """Writes a PNG: the confusion matrix on the left, the pairs that are confused most on the right.

    Args:
        matrix: (K, K) counts, ground truth by prediction.
        classes: the K names.
        path: the PNG to write.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(16, 8), layout='constrained')
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
    _save(figure, path, dpi=120)


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


def draw_benchmark(measured: Sequence[Any], title: str, path: Path) -> None:
    """The medians of :func:`se_mm.benchmark.measure` as bars, a colour for each form."""
    names = list(dict.fromkeys(entry.name for entry in measured))
    forms = list(dict.fromkeys(entry.form for entry in measured))
    height = 0.8 / len(forms)
    figure, axes = plt.subplots(figsize=(9, 0.9 + 0.28 * len(names) * (1 + len(forms))), layout='constrained')
    for i, form in enumerate(forms):
        entries = [entry for entry in measured if entry.form == form]
        at = [names.index(entry.name) + i * height for entry in entries]
        milliseconds = np.array([1e3 * entry.median for entry in entries])
        spreads = milliseconds * [entry.spread for entry in entries]
        bars = axes.barh(at, milliseconds, height, label=form, xerr=spreads)
        axes.bar_label(bars, [f'{value:.0f}' for value in milliseconds], padding=8, fontsize=8)
    axes.set_yticks([i + 0.4 - height / 2 for i in range(len(names))], names)
    axes.invert_yaxis()
    axes.set_xlabel('milliseconds (median, half the distance of the quartiles)')
    axes.set_title(title, fontsize=9)
    axes.margins(x=0.12)
    if len(forms) > 1:
        axes.legend(loc='lower right')
    _save(figure, path, dpi=120)


def _save(figure: plt.Figure, path: Path, dpi: int) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, dpi=dpi, format='png')
    plt.close(figure)
    write_whole(path, picture.getvalue())
