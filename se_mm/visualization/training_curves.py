"""The curves and the table of a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.metrics import less_is_better
from ..utils.tables import print_table
from .figures import new_figure, save_figure

SMOOTHED_POINTS = 200


def draw_curves(
    losses: Mapping[str, np.ndarray], validations: Sequence[Mapping[str, Any]], path: Path, last: int | None = None
) -> None:
    """Writes a PNG: the training losses on the left, the validation metrics on the right.

    Args:
        losses: one value an iteration, by name.
        validations: ``epoch``, ``iter`` and the metrics of each validation.
        path: the PNG to write.
        last: the iteration of the last values, since mmengine keeps a million; ``None``: the first are of iteration 1.
    """
    figure, (left, right) = new_figure(1, 2, figsize=(11, 4), layout='constrained')
    # The name of the total is mmengine's; its parts are drawn thin around it.
    for name, values in sorted(losses.items(), key=lambda item: item[0] != 'loss'):
        values = np.asarray(values, dtype=float)
        window = max(1, len(values) // SMOOTHED_POINTS)
        smooth = values[: len(values) // window * window].reshape(-1, window).mean(1)
        before = 0 if last is None else max(0, last - len(values))
        left.plot(before + np.arange(1, len(smooth) + 1) * window, smooth, label=name, lw=2 if name == 'loss' else 0.8)
    left.set(xlabel='iteration', ylabel='training loss', yscale='log')
    for name, label in metric_labels(_metric_names(validations)).items():
        points = [(entry['iter'], entry[name]) for entry in validations if entry.get(name, -1) >= 0]
        if points:
            right.plot(*zip(*points, strict=True), marker='.', label=label)
    right.set(xlabel='iteration', ylabel='validation')
    if last and len(validations) < 2:  # one point has no width
        right.set_xlim(0, 1.1 * last)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
        else:
            axes.text(0.5, 0.5, 'nothing recorded', ha='center', transform=axes.transAxes)
    save_figure(figure, path, dpi=120)


def print_validations(validations: Sequence[Mapping[str, Any]]) -> None:
    """Prints one row a validation; the best value of each metric is bold: the least of errors and losses.

    A value below zero is pycocotools' word for "no such ground truth" and shows as a dash.
    """
    names = _metric_names(validations)
    if not names:
        return
    epochs = [entry['epoch'] for entry in validations]
    # A loop over iterations stays in one epoch.
    unit, key = ('epoch', 'epoch') if 0 not in epochs and len({*epochs}) == len(epochs) else ('iteration', 'iter')
    columns = [list(map(str, (entry[key] for entry in validations)))]
    for name in names:
        values = [entry.get(name, -1) for entry in validations]
        best = (min if less_is_better(name) else max)((value for value in values if value >= 0), default=None)
        cells = ('-' if value < 0 else f'{value:.3f}' for value in values)
        columns.append([f'[bold]{c}[/]' if value == best else c for c, value in zip(cells, values, strict=True)])
    print_table([unit, *metric_labels(names).values()], list(zip(*columns, strict=True)), title='validation')


def metric_label(metric: str) -> str:
    """What a metric is called in tables and curves; those of masks keep their ``segm_``.

    Example:
        >>> [metric_label(name) for name in ('coco/bbox_mAP_50', 'accuracy/top1', 'error/top5')]
        ['mAP_50', 'accuracy top-1 %', 'error top-5 %']
    """
    prefix, _, name = metric.rpartition('/')
    if prefix in ('accuracy', 'error'):
        return f'{prefix} {name.replace("top", "top-")} %'
    return f'AP of {name.removesuffix("_precision")}' if name.endswith('_precision') else name.removeprefix('bbox_')


def metric_labels(metrics: Iterable[str]) -> dict[str, str]:
    """The label of each metric; its whole name where two have the same label (of two data sets, or two models).

    Example:
        >>> list(metric_labels(['a/coco/bbox_mAP', 'b/coco/bbox_mAP', 'coco/bbox_mAP_50']).values())
        ['a/coco/bbox_mAP', 'b/coco/bbox_mAP', 'mAP_50']
    """
    labels = {metric: metric_label(metric) for metric in metrics}
    shared = Counter(labels.values())
    return {metric: label if shared[label] == 1 else metric for metric, label in labels.items()}


def _metric_names(validations: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for entry in validations for name in entry if name not in ('epoch', 'iter')))
