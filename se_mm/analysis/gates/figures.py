"""The paper's figures 6 and 7 for any network (section 7.2 of arXiv 1709.01507), and histograms of its gates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...errors import SeMmError
from ...visualization.figures import new_figure, save_figure
from .find import Gate, short_names
from .samples import SIZES, Pictures
from .statistics import GateStatistics

_DPI = 110


def draw_figures(
    gates: Sequence[Gate],
    found: Mapping[str, GateStatistics],
    pictures: Pictures,
    drawn: Sequence[str],
    channels: int,
    seed: int,
    out: Path,
) -> list[tuple[str, Path]]:
    """Draws some classes, and so many channels of each block, at random; the heading and the PNG of each figure."""
    names = short_names(gates)
    blocks = [(names[g.name], found[g.name], choose_channels(g.channels, channels, seed)) for g in figure_gates(gates)]
    labels = [pictures.class_names.index(name) for name in drawn]
    ends = labels if len(labels) <= 2 else [labels[0], labels[-1]]
    means = {name: (s.class_means[labels][:, c], s.channel_means[c]) for name, s, c in blocks}
    differences = {name: (of_class - of_all, None) for name, (of_class, of_all) in means.items()}
    spreads = {name: (s.class_means[ends][:, c], s.class_spreads[ends][:, c]) for name, s, c in blocks}
    of = '' if pictures.sizes is None else ' (pictures with boxes of the class)'
    figures = {
        'overview': ('With the depth', _overview(names, found)),
        'classes': (
            'Mean gate by class (figure 6)',
            _group_means(means, drawn, f'mean gate of {channels} channels{of}'),
        ),
        'differences': (
            'Difference of the classes',
            _group_means(differences, drawn, f'mean gate of a class minus that of all{of}'),
        ),
    }
    if pictures.sizes is not None:
        by_size = {name: (s.size_means[:, c], s.channel_means[c]) for name, s, c in blocks}
        title = 'Mean gate by the size of the boxes'
        figures['sizes'] = (title, _group_means(by_size, SIZES, 'pictures with boxes of a size'))
    title, groups = f'mean and standard deviation within a class{of}', [pictures.class_names[i] for i in ends]
    figures['spreads'] = ('Within a class (figure 7)', _spreads(spreads, groups, title))
    figures['histograms'] = ('Histograms', _histograms(names, found))
    for name, (_, figure) in figures.items():
        save_figure(figure, out / f'{name}.png', _DPI)
    return [(heading, out / f'{name}.png') for name, (heading, _) in figures.items()]


def figure_gates(gates: Sequence[Gate]) -> list[Gate]:
    """The blocks that the paper draws: the last of each stage, and all of the last stage (at most three)."""
    by_stage: dict[tuple[str, int], list[Gate]] = {}
    for gate in gates:
        by_stage.setdefault((gate.host, gate.site.stage) if gate.site else (gate.name, 0), []).append(gate)
    stages = list(by_stage.values())
    return [*(stage[-1] for stage in stages[:-1]), *stages[-1][-3:]]


def choose_channels(count: int, most: int, seed: int) -> np.ndarray:
    """Channels that are drawn, uniformly sampled, ascending.

    Raises:
        SeMmError: if ``most`` is below 1.

    Example:
        >>> len(choose_channels(64, 4, seed=0)), len(choose_channels(16, 50, seed=0))
        (4, 16)
    """
    if most < 1:
        raise SeMmError(f'--channels is {most}; expected the number of channels to draw, 1 or more')
    return np.sort(np.random.default_rng(seed).choice(count, min(count, most), replace=False))


def _overview(names: Mapping[str, str], found: Mapping[str, GateStatistics]) -> Figure:
    """How the gates change with the depth of the network, one line for each number."""
    lines = {
        'mean': 'mean',
        'class_share': 'class share of the variance',
        'open': 'share above 0.9',
        'distance': 'distance from the mean',
    }
    blocks = [names[name] for name in found]
    figure, axes = new_figure(figsize=(max(6.5, 0.35 * len(blocks) + 2), 3.4), layout='constrained')
    for attribute, label in lines.items():
        values = [getattr(statistics, attribute) for statistics in found.values()]
        axes.plot(range(len(blocks)), values, marker='o', ms=4, label=label)
    axes.set_xticks(range(len(blocks)), blocks, rotation=90 if len(blocks) > 10 else 30, fontsize=8, ha='center')
    axes.set_ylim(-0.02, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2)
    axes.set_title('from the input to the output', fontsize=10)
    return figure


def _group_means(
    blocks: Mapping[str, tuple[np.ndarray, np.ndarray | None]], groups: Sequence[str], title: str
) -> Figure:
    """A panel for each block: the mean gates of each group, (K, C), in front of those over all, (C,); ``None``: 0.

    Channels are sorted by those over all, else by those of the first group.
    """
    figure, panels = _panels(len(blocks), title)
    for axes, (name, (means, over_all)) in zip(panels, blocks.items(), strict=False):
        order = np.argsort(means[0] if over_all is None else over_all)
        for group, values in zip(groups, means, strict=True):
            axes.plot(values[order], lw=1, label=group, zorder=3)
        everything = np.zeros(len(order)) if over_all is None else over_all[order]
        axes.plot(everything, lw=1.4, color='black', ls='--', label='all', zorder=2)
        _finish(axes, name, None if over_all is None else np.vstack([means, over_all]))
        axes.set_xlabel(f'channel, sorted by {groups[0] if over_all is None else "all"}', fontsize=8)
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside lower center', ncols=8, fontsize=9)
    return figure


def _spreads(blocks: Mapping[str, tuple[np.ndarray, np.ndarray]], groups: Sequence[str], title: str) -> Figure:
    """A row for each group, a column for each block: mean and standard deviation within the group, (K, C) each."""
    size = (max(3.0 * len(blocks), 6), 2.2 * len(groups) + 0.6)
    figure, grid = new_figure(len(groups), len(blocks), figsize=size, layout='constrained', squeeze=False)
    figure.suptitle(title, fontsize=10)
    for column, (name, (means, spreads)) in zip(grid.T, blocks.items(), strict=True):
        for axes, group, mean, spread in zip(column, groups, means, spreads, strict=True):
            axes.plot(mean, lw=1)
            axes.fill_between(np.arange(len(mean)), mean - spread, mean + spread, alpha=0.3)
            _finish(axes, name if axes is column[0] else '', means)
            axes.set_xlabel('channel' if axes is column[-1] else '')
            axes.set_ylabel(group if axes in grid[:, 0] else '')
    return figure


def _histograms(names: Mapping[str, str], found: Mapping[str, GateStatistics]) -> Figure:
    columns = min(max(4, math.ceil(math.sqrt(2 * len(found)))), 10)
    figure, panels = _panels(len(found), 'gates of all pictures and channels', columns, (2.1, 1.6))
    for axes, (name, block) in zip(panels, found.items(), strict=False):
        axes.stairs(block.histogram / max(block.histogram.sum(), 1), block.edges, fill=True)
        axes.set_title(names[name], fontsize=8)
        axes.set_yticks([])
        axes.tick_params(labelsize=7)
    return figure


def _panels(
    count: int, title: str, columns: int = 3, size: tuple[float, float] = (4.0, 2.6)
) -> tuple[Figure, list[Any]]:
    """Axes in rows; those beyond the count are not shown."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    whole = (max(size[0] * columns, 5), size[1] * rows + 0.7)
    figure, grid = new_figure(rows, columns, figsize=whole, layout='constrained', squeeze=False)
    figure.suptitle(title, fontsize=10)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return figure, list(grid.flat[:count])


def _finish(axes: Any, title: str, values: np.ndarray | None = None) -> None:
    """Title and grid; for gates the scale from 0 to 1 that a sigmoid has, wider where they have other values."""
    if values is not None:
        values = values[np.isfinite(values)]
        axes.set_ylim(values.min(initial=0) - 0.03, values.max(initial=1) + 0.03)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel('channel', fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
