"""Which figures a report on gates has, and what is drawn in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..analysis.gate_statistics import GateStatistics
from ..analysis.gates import Gate
from ..analysis.pictures import SIZES, Pictures, choose_channels
from ..visualization import gates as figures
from .gates import short_names


def draw_figures(
    gates: Sequence[Gate],
    found: Mapping[str, GateStatistics],
    pictures: Pictures,
    drawn: Sequence[str],
    channels: tuple[int, int],
    out: Path,
) -> list[tuple[str, Path, str]]:
    """Draws the figures of a report.

    Args:
        gates: of :func:`se_mm.analysis.gates.find_gates`.
        found: their statistics.
        pictures: that were analysed.
        drawn: the classes that are drawn.
        channels: how many of a block are drawn, and the seed of their choice.
        out: the folder of the PNGs.

    Returns:
        Heading, file and description of each.
    """
    names = short_names(gates)
    labels = [pictures.class_names.index(name) for name in drawn]
    chosen = {
        names[gate.name]: (found[gate.name], choose_channels(gate.channels, *channels)) for gate in figure_gates(gates)
    }
    of_boxes = ' (pictures with boxes of the class)' if pictures.sizes is not None else ''
    files = {
        name: out / f'{name}.png' for name in ('overview', 'classes', 'differences', 'spreads', 'histograms', 'sizes')
    }
    shown = list(found.values())
    lines = {'mean': [entry.mean for entry in shown], 'class share of the variance': [e.class_share for e in shown]}
    lines |= {'share above 0.9': [entry.open for entry in shown], 'distance from the mean': [e.distance for e in shown]}
    figures.draw_overview(list(names.values()), lines, files['overview'], 'from the input to the output')
    means = {name: (s.class_means[labels][:, c], s.channel_means[c]) for name, (s, c) in chosen.items()}
    figures.draw_class_means(means, drawn, files['classes'], f'mean gate of {channels[0]} channels{of_boxes}')
    differences = {name: (mean - over_all, None) for name, (mean, over_all) in means.items()}
    figures.draw_class_means(
        differences, drawn, files['differences'], f'mean gate of a class minus that of all{of_boxes}'
    )
    spread = drawn if len(drawn) <= 2 else [drawn[0], drawn[-1]]
    rows = [pictures.class_names.index(name) for name in spread]
    bands = {name: (s.class_means[rows][:, c], s.class_spreads[rows][:, c]) for name, (s, c) in chosen.items()}
    figures.draw_class_spreads(bands, spread, files['spreads'], f'mean and standard deviation within a class{of_boxes}')
    histograms = {names[name]: (entry.histogram, entry.edges) for name, entry in found.items()}
    figures.draw_histograms(histograms, files['histograms'], 'gates of all pictures and channels')
    drawings = [
        ('With the depth', files['overview'], 'mean, class share, saturation and distance of each block'),
        ('Mean gate by class (figure 6)', files['classes'], 'mean gate of sampled channels for each class'),
        ('Difference of the classes', files['differences'], 'mean gate of each class minus that of all pictures'),
        ('Within a class (figure 7)', files['spreads'], 'mean and standard deviation of the gates within a class'),
        ('Histograms', files['histograms'], 'histogram of the gates of each block'),
    ]
    if pictures.sizes is not None:
        sizes = {name: (s.size_means[:, c], s.channel_means[c]) for name, (s, c) in chosen.items()}
        figures.draw_class_means(sizes, list(SIZES), files['sizes'], 'pictures with boxes of a size')
        drawings.insert(3, ('Mean gate by the size of the boxes', files['sizes'], 'mean gate for each size of boxes'))
    return drawings


def figure_gates(gates: Sequence[Gate]) -> list[Gate]:
    """The blocks that the paper draws: the last of each stage, and all of the last stage (at most three)."""
    by_stage: dict[tuple[str, int], list[Gate]] = {}
    for gate in gates:
        by_stage.setdefault((gate.host, gate.site.stage) if gate.site else (gate.name, 0), []).append(gate)
    stages = list(by_stage.values())
    return [*(stage[-1] for stage in stages[:-1]), *stages[-1][-3:]]
