"""The analysis of gates as a table on the console, as numbers in ``gates.json``, and as one HTML page."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...utils.atomic import write_atomic
from ...utils.tables import print_table
from .find import Gate, short_names
from .pruning import Step
from .removal import Removal
from .samples import Pictures
from .statistics import GateStatistics
from .study import Study

#: The columns of the table, by the attribute of the statistics.
COLUMNS = {
    'mean': 'mean',
    'spread': 'spread',
    'open': '>0.9',
    'closed': '<0.1',
    'class_share': 'class',
    'size_share': 'size',
    'selectivity': 'select.',
    'distance': 'dist.',
}
_EXPLANATION = (
    'spread: standard deviation over the pictures. class, size: share of that variance which the classes, or the sizes '
    'of the boxes, explain (classes by chance: about {chance:.3f}). select.: (largest class mean - mean of the others) '
    '/ their sum. dist.: mean |s - mean of the channel|, by which a gate frozen at its mean is wrong. All of them are '
    'averages over the channels.'
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; color: #222 }
h1 { font-size: 1.5em } h2 { font-size: 1.2em; margin-top: 2em; border-bottom: 1px solid #ddd }
img { max-width: 100%; height: auto } p { max-width: 60em }
table { border-collapse: collapse; font-size: 13px; margin: 1em 0; display: block; overflow-x: auto }
td, th { border: 1px solid #ddd; padding: 3px 8px; text-align: right; font-variant-numeric: tabular-nums }
th { background: #f4f4f4 } td:first-child, th:first-child { text-align: left; white-space: nowrap }
"""


def write_report(
    study: Study,
    pictures: Pictures,
    notes: Sequence[str],
    found: Mapping[str, GateStatistics],
    figures: Sequence[tuple[str, Path]],
    removal: Sequence[Removal],
    about_removal: str,
    out: Path,
) -> None:
    """Prints the tables, and writes ``gates.json`` and ``report.html``.

    The rows of ``removal``, with the untouched network first, are about a metric and a calibration set, which
    ``about_removal`` names; there are none where it was not studied.
    """
    gates, names = study.gates, short_names(study.gates)
    kinds = ', '.join(sorted({type(gate.layer).__name__ for gate in gates}))
    channels = sum(gate.channels for gate in gates)
    table = _block_table(gates, found, names)
    print_table(*table)
    chance = (np.count_nonzero(pictures.classes.any(0)) - 1) / max(len(pictures) - 1, 1)
    parts = [
        _paragraph(_summary(found, names, chance)),
        _paragraph(f'{len(gates)} {kinds} with {channels:,} channels in {study.checkpoint}; {len(pictures)} pictures.'),
        *map(_paragraph, notes),
        '<h2>Blocks</h2>',
        _html_table(*table),
        _paragraph(_EXPLANATION.format(chance=chance)),
    ]
    for heading, file in figures:
        content = base64.b64encode(file.read_bytes()).decode()
        parts.append(f'<h2>{heading}</h2>\n<img alt="{heading}" src="data:image/png;base64,{content}">')
    if removal:
        table = _removal_table(removal, names)
        print_table(*table)
        explanation = 's := 1: the layer does nothing. s := mean: each channel has the mean of its gate.'
        parts += ['<h2>Without the gates</h2>', _paragraph(f'{about_removal}. {explanation}'), _html_table(*table)]
    content = {
        'checkpoint': str(study.checkpoint),
        'pictures': len(pictures),
        'blocks': {
            gate.name: {'channels': gate.channels, 'parameters': gate.parameters, **_numbers(found[gate.name])}
            for gate in gates
        },
        'removal': {'about': about_removal, 'groups': [dataclasses.asdict(entry) for entry in removal]},
    }
    write_atomic(out / 'gates.json', json.dumps(content, indent=1))
    title = html.escape(f'What the gates do: {Path(study.cfg.filename or "config").stem}')
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    body = '\n'.join([f'<h1>{title}</h1>', *parts])
    write_atomic(
        out / 'report.html', f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'
    )


def _summary(found: Mapping[str, GateStatistics], names: Mapping[str, str], chance: float) -> str:
    """What was found, in three sentences."""
    most = max(found, key=lambda name: found[name].spread)
    shares = {name: entry.class_share for name, entry in found.items() if not math.isnan(entry.class_share)}
    least = min(found, key=lambda name: found[name].distance)
    of_classes = 'No gate varies with the picture.'
    if shares:
        clear = max(shares, key=shares.__getitem__)
        share = f'{shares[clear]:.0%} of the variance in {names[clear]}'
        of_classes = f'Classes explain at most {share}, where {chance:.0%} is chance.'
    return (
        f'The gates depend on the picture most in {names[most]}: a standard deviation of {found[most].spread:.3f}. '
        f'{of_classes} The first that can go is {names[least]}: frozen at its mean it is off by '
        f'{found[least].distance:.3f}.'
    )


def _block_table(
    gates: Sequence[Gate], found: Mapping[str, GateStatistics], names: Mapping[str, str]
) -> tuple[list[str], list[list[str]]]:
    columns = {name: title for name, title in COLUMNS.items() if getattr(found[gates[0].name], name) is not None}
    rows = []
    for gate in gates:
        values = [getattr(found[gate.name], name) for name in columns]
        numbers = ['-' if math.isnan(value) else f'{value:.3f}' for value in values]
        rows.append([names[gate.name], str(gate.channels), f'{gate.parameters:,}', *numbers])
    return ['block', 'C', 'params', *columns.values()], rows


def _removal_table(removal: Sequence[Removal], names: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    digits = 2 if removal[0].with_one > 1.5 else 4  # per cent, or a share
    rows = [
        [names.get(r.what, r.what), f'{r.parameters:,}', f'{r.with_one:.{digits}f}', f'{r.with_mean:.{digits}f}']
        for r in removal
    ]
    return ['without the gates of', 'parameters', 's := 1', 's := mean'], rows


def _numbers(entry: GateStatistics) -> dict[str, float | None]:
    values = {name: getattr(entry, name) for name in COLUMNS}
    return {name: None if value is None or math.isnan(value) else value for name, value in values.items()}


def _paragraph(text: str) -> str:
    return f'<p>{html.escape(text)}</p>'


def _html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    tagged = [(header, 'th'), *((row, 'td') for row in rows)]
    lines = [''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in row) for row, tag in tagged]
    return f'<table>\n{"".join(f"<tr>{line}</tr>" for line in lines)}\n</table>'


def report_pruning(
    gates: Sequence[Gate],
    frozen: Sequence[Gate],
    source: str,
    steps: Sequence[Step],
    numbers: Mapping[str, tuple[float, float]],
    out: Path,
) -> None:
    """Prints which gates are frozen, what was tried, and the numbers before and after; writes ``pruning.json``."""
    names = short_names(gates)
    print(f'frozen at the mean over {source}, and folded: {", ".join(names[gate.name] for gate in frozen)}')
    if steps:
        rows = []
        for step in steps:
            together = '-' if step.together is None else f'{step.together:+.4f}'
            losses = [f'{step.alone:+.4f}', together, 'yes' if step.frozen else 'no']
            rows.append([names.get(step.gate, step.gate), f'{step.parameters:,}', *losses])
        print_table(['gate', 'parameters', 'loss alone', 'loss together', 'frozen'], rows)
    rows = []
    for what, (before, after) in numbers.items():
        digits = ',' if isinstance(before, int) else '.4g'
        rows.append([what, f'{before:{digits}}', f'{after:{digits}}', f'{after - before:+{digits}}'])
    print_table(['', 'before', 'after', 'change'], rows)
    content = dict(
        frozen=[gate.name for gate in frozen],
        means=source,
        steps=[dataclasses.asdict(step) for step in steps],
        **{what: dict(before=before, after=after) for what, (before, after) in numbers.items()},
    )
    write_atomic(out / 'pruning.json', json.dumps(content, indent=1))
