"""Timings as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .figures import new_figure, save_figure


def draw_benchmark(measured: Sequence[Any], title: str, path: Path) -> None:
    """The medians of :func:`se_mm.benchmarks.networks.measure` as bars, a colour for each form."""
    names = list(dict.fromkeys(entry.name for entry in measured))
    forms = list(dict.fromkeys(entry.form for entry in measured))
    height = 0.8 / len(forms)
    figure, axes = new_figure(figsize=(9, 0.9 + 0.28 * len(names) * (1 + len(forms))), layout='constrained')
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
    save_figure(figure, path, dpi=120)
