"""Writing figures, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..utils.atomic import write_atomic


def new_figure(rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure and its axes, as ``pyplot.subplots`` gives them, without a backend or a window."""
    axes_options = {key: options.pop(key) for key in ('height_ratios', 'squeeze', 'width_ratios') if key in options}
    figure = Figure(**options)
    return figure, figure.subplots(rows, columns, **axes_options)


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Writes a figure as a PNG."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=dpi, format='png')
    write_atomic(path, picture.getvalue())
