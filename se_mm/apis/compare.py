"""Comparison of networks that were trained with several seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..analysis.comparison.pairs import Comparison, Network, compared
from ..analysis.comparison.report import as_json, as_markdown
from ..analysis.comparison.runs import runs_in
from ..errors import SeMmError
from ..utils.atomic import write_atomic
from ..visualization.gains import draw_gains


def compare(
    folders: Mapping[str, Path], out: Path, metric: str | None = None, seeds: int | None = None
) -> tuple[Comparison, str]:
    """Compares finished trainings, by our tools or mmengine's own, and writes ``comparison.md``, ``.json``, ``.png``.

    Args:
        folders: where the trainings of each network are, a work_dir for each seed, by the name of the network; all are
            held against the first.
        out: the folder of the report.
        metric: with or without its prefix; ``None``: AP of boxes, or top-1 accuracy.
        seeds: only the seeds below it.

    Returns:
        The comparison and its text.

    Raises:
        SeMmError: if a folder holds no finished training, or the networks have no seed or metric in common.
    """
    networks = []
    for name, folder in folders.items():
        if not folder.is_dir():
            raise SeMmError(f'{folder} is not there: expected the trainings of {name}, in a folder for each seed')
        runs, left_out = runs_in(folder)
        runs = {seed: run for seed, run in runs.items() if seeds is None or seed < seeds}
        if not runs:
            why = '; '.join(left_out) or 'expected a folder for each seed, as seed_0'
            raise SeMmError(f'{folder} holds no finished training: {why}')
        networks.append(Network(name, runs, left_out))
    comparison = compared(networks, metric)
    first, *others = folders
    text = as_markdown(comparison, f'{", ".join(others)} against {first}')
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / 'comparison.md', text)
    write_atomic(out / 'comparison.json', json.dumps(as_json(comparison), indent=1))
    unit, curves = comparison.curves()
    gains = {gain.name: (gain.pairs.differences, gain.pairs.interval) for gain in comparison.gains}
    draw_gains(curves, gains, comparison.metric, unit, out / 'comparison.png')
    return comparison, text
