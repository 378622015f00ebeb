"""Curves of several networks with several seeds each, and the differences of their pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .figures import new_figure, save_figure
from .training_curves import metric_label


def draw_gains(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    gains: Mapping[str, tuple[Sequence[float], tuple[float, float] | None]],
    metric: str,
    unit: str,
    path: Path,
) -> None:
    """Writes a PNG: curves over the training on the left, gains over the first network on the right.

    Args:
        curves: for each network the steps of its validations, and (seeds, validations) of the metric in points, of
            which the mean and the range are drawn.
        gains: for each network but the first its difference with each seed, and the 95% interval of their mean.
        metric: its whole name.
        unit: of the steps.
        path: the PNG to write.
    """
    figure, (left, right) = new_figure(1, 2, figsize=(11, 4.2), layout='constrained', width_ratios=[3, 2])
    for i, (name, (steps, values)) in enumerate(curves.items()):
        left.plot(steps, values.mean(0), f'C{i}', marker='.', label=name)
        left.fill_between(steps, values.min(0), values.max(0), color=f'C{i}', alpha=0.2, lw=0)
    first, seeds = next(iter(curves)), len(values)
    left.set(xlabel=unit, ylabel=metric_label(metric), title=f'mean and range of {seeds} seeds')
    left.xaxis.get_major_locator().set_params(integer=unit in ('epoch', 'iter'))
    left.legend(fontsize=8)
    left.grid(alpha=0.3)
    right.axvline(0, color='k', lw=0.8)
    for i, (differences, interval) in enumerate(gains.values()):
        color = f'C{i + 1}'
        # A little above the row, so that the points do not hide the interval.
        right.plot(differences, np.full(seeds, i - 0.12), 'o', color=color, alpha=0.6, ms=5)
        right.plot(np.mean(differences), i, 'D', color=color, ms=7)
        if interval:
            right.plot(interval, [i, i], color=color, lw=2)
    right.set(xlabel=f'gain over\n{first}, points', title='each pair, mean and 95% interval')
    right.set_yticks(range(len(gains)), list(gains), fontsize=8)
    right.set_ylim(len(gains) - 0.5, -0.5)
    right.grid(alpha=0.3, axis='x')
    save_figure(figure, path, dpi=120)
