"""Curves of several networks with several seeds each, and the differences of their pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .curves import metric_label
from .figures import new_figure, save_figure

if TYPE_CHECKING:
    from ..analysis.comparison import Comparison


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Writes a PNG: on the left each network's metric over the training, mean and range of its seeds; on the right
    the differences of the pairs with their 95% intervals.
    """
    figure, (left, right) = new_figure(1, 2, figsize=(11, 4.2), layout='constrained', width_ratios=[3, 2])
    label = metric_label(comparison.metric)
    runs = [run for network in comparison.networks for run in network.runs.values()]
    units = sorted({'epoch' if run.by_epoch else 'iteration' for run in runs})
    for i, network in enumerate(comparison.networks):
        steps, values = network.curves(comparison.metric, comparison.seeds)
        if len(units) > 1:
            steps = np.array(steps) / next(iter(network.runs.values())).length
        left.plot(steps, values.mean(0), f'C{i}', marker='.', label=network.name)
        left.fill_between(steps, values.min(0), values.max(0), color=f'C{i}', alpha=0.2, lw=0)
    count = len(comparison.seeds)
    xlabel = units[0] if len(units) == 1 else 'share of the training'
    left.set(xlabel=xlabel, ylabel=label, title=f'mean and range of {count} seeds')
    left.xaxis.get_major_locator().set_params(integer=len(units) == 1)
    left.legend(fontsize=8)
    left.grid(alpha=0.3)
    right.axvline(0, color='k', lw=0.8)
    for i, entry in enumerate(comparison.against):
        color = f'C{i + 1}'
        right.plot(entry.pairs.differences, _beside(count, i), 'o', color=color, alpha=0.6, ms=5)
        right.plot(entry.pairs.mean, i, 'D', color=color, ms=7)
        if entry.pairs.interval:
            right.plot(entry.pairs.interval, [i, i], color=color, lw=2)
    right.set(xlabel=f'gain over\n{comparison.networks[0].name}, points', title='each pair, mean and 95% interval')
    right.set_yticks(range(len(comparison.against)), [entry.name for entry in comparison.against], fontsize=8)
    right.set_ylim(len(comparison.against) - 0.5, -0.5)
    right.grid(alpha=0.3, axis='x')
    save_figure(figure, path, dpi=120)


def _beside(count: int, row: int) -> Sequence[float]:
    """A little above the row, so that the points do not hide the interval."""
    return np.full(count, row - 0.12)
