"""The paper's figures 6 and 7 for any network (section 7.2 of arXiv 1709.01507), and histograms of its gates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .figures import new_figure, save_figure

#: Columns of panels.
_COLUMNS = 3
_DPI = 110


def draw_class_means(
    blocks: Mapping[str, tuple[np.ndarray, np.ndarray | None]], groups: Sequence[str], path: Path, title: str
) -> None:
    """Figure 6: a panel for each block, with the mean gate of each channel for each group of pictures and over all.

    Args:
        blocks: by name the means (K, C) of the groups and (C,) of all pictures, for the channels to draw;
            ``None`` in place of the latter: what is drawn are differences from it.
        groups: the K names.
        path: the PNG to write.
        title: above the panels.
    """
    figure, panels = _panels(len(blocks), title)
    for axes, (name, (means, over_all)) in zip(panels, blocks.items(), strict=False):
        for group, values in zip(groups, means, strict=True):
            axes.plot(values, lw=1, label=group)
        if over_all is None:
            axes.axhline(0, lw=1.4, color='black', ls='--', label='all')
            _finish(axes, name)
        else:
            axes.plot(over_all, lw=1.4, color='black', ls='--', label='all')
            _finish(axes, name, [*means, over_all])
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside lower center', ncols=8, fontsize=9)
    save_figure(figure, path, _DPI)


def draw_class_spreads(
    blocks: Mapping[str, tuple[np.ndarray, np.ndarray]], groups: Sequence[str], path: Path, title: str
) -> None:
    """Figure 7: a row for each group and a column for each block, with mean and standard deviation within the group.

    Args:
        blocks: by name the means and the standard deviations, (K, C) each, for the channels to draw.
        groups: the K names.
        path: the PNG to write.
        title: above the panels.
    """
    figure, grid = new_figure(
        len(groups),
        len(blocks),
        figsize=(max(3.0 * len(blocks), 6), 2.2 * len(groups) + 0.6),
        layout='constrained',
        squeeze=False,
    )
    figure.suptitle(title, fontsize=10)
    for column, (name, (means, spreads)) in enumerate(blocks.items()):
        for row, group in enumerate(groups):
            axes, mean, spread = grid[row][column], means[row], spreads[row]
            axes.plot(mean, lw=1)
            axes.fill_between(np.arange(len(mean)), mean - spread, mean + spread, alpha=0.3)
            _finish(axes, name if row == 0 else '', [means])
            axes.set_xlabel('channel' if row == len(groups) - 1 else '')
            axes.set_ylabel(group if column == 0 else '')
    save_figure(figure, path, _DPI)


def draw_histograms(blocks: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path, title: str) -> None:
    """A histogram of the gates of each block over all pictures and channels.

    Args:
        blocks: by name the counts and the edges of the bins.
        path: the PNG to write.
        title: above the panels.
    """
    columns = min(max(4, math.ceil(math.sqrt(2 * len(blocks)))), 10)
    figure, panels = _panels(len(blocks), title, columns, (2.1, 1.6))
    for axes, (name, (counts, edges)) in zip(panels, blocks.items(), strict=False):
        axes.stairs(counts / max(counts.sum(), 1), edges, fill=True)
        axes.set_title(name, fontsize=8)
        axes.set_yticks([])
        axes.tick_params(labelsize=7)
    save_figure(figure, path, _DPI)


def draw_overview(names: Sequence[str], lines: Mapping[str, Sequence[float]], path: Path, title: str) -> None:
    """How some numbers go with the depth of the network, one line each.

    Args:
        names: of the blocks, from input to output.
        lines: a value for each block, between 0 and 1, by what it is called.
        path: the PNG to write.
        title: above the lines.
    """
    figure, axes = new_figure(figsize=(max(6.5, 0.35 * len(names) + 2), 3.4), layout='constrained')
    for label, values in lines.items():
        axes.plot(range(len(names)), values, marker='o', ms=4, label=label)
    axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 10 else 30, fontsize=8, ha='center')
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2)
    axes.set_title(title, fontsize=10)
    save_figure(figure, path, _DPI)


def _panels(
    count: int, title: str, columns: int = _COLUMNS, size: tuple[float, float] = (4.0, 2.6)
) -> tuple[Figure, list[Any]]:
    """Axes in rows; those beyond the count are not shown."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure, grid = new_figure(
        rows, columns, figsize=(max(size[0] * columns, 5), size[1] * rows + 0.7), layout='constrained', squeeze=False
    )
    figure.suptitle(title, fontsize=10)
    panels = [axes for row in grid for axes in row]
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels


def _finish(axes: Any, title: str, lines: Sequence[np.ndarray] = ()) -> None:
    """Title and grid; for gates the scale from 0 to 1 that a sigmoid has, wider where they have other values."""
    if lines:
        values = np.concatenate([np.ravel(line) for line in lines])
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        axes.set_ylim(min(low, 0) - 0.03, max(high, 1) + 0.03)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel('channel', fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
