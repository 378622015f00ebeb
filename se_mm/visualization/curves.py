"""The curves and the table of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .figures import new_figure, save_figure

SMOOTHED_POINTS = 200


def draw_curves(losses: Mapping[str, np.ndarray], validations: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes a PNG: the training losses on the left, the validation metrics on the right.

    Args:
        losses: one value an iteration, by name.
        validations: ``epoch``, ``iter`` and the metrics of each validation.
        path: the PNG to write.
    """
    figure, (left, right) = new_figure(1, 2, figsize=(11, 4), layout='constrained')
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
    save_figure(figure, path, dpi=120)


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
