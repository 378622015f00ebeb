"""The analysis of the gates of a trained model as files: arrays, a table, figures, one HTML page."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmengine.config import Config

from ..analysis.gate_statistics import GateStatistics, gate_statistics
from ..analysis.gate_store import GateStore
from ..analysis.gates import Gate, gates_on
from ..analysis.pictures import SIZES, Pictures, check_classes, choose_channels, choose_pictures, pictures_of
from ..analysis.removal import Removal, study_removal
from ..utils.atomic import write_atomic
from ..utils.paths import make_folder
from ..visualization.html_report import HtmlReport
from .gate_figures import draw_figures
from .gates import GateSession, print_table, say, short_names

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


@dataclasses.dataclass(frozen=True)
class GateOptions:
    """What an analysis looks at.

    Attributes:
        classes: that are drawn; ``None``: up to four.
        per_class: pictures of each class.
        channels: that are drawn, uniformly sampled.
        seed: of the choice of pictures and channels.
        removal: whether the metric without each gate is measured too.
        metric: of that study; ``None``: mAP or top-1.
        calibration: pictures for the mean gates of that study.
    """

    classes: Sequence[str] | None = None
    per_class: int = 50
    channels: int = 50
    seed: int = 0
    removal: bool = False
    metric: str | None = None
    calibration: int = 256


def analyze_gates(cfg: Config, checkpoint: str, out: str | Path, options: GateOptions) -> None:
    """Writes ``gates.npz``, ``gates.json``, the figures and ``report.html`` into a folder.

    Args:
        cfg: the config that the checkpoint was trained with.
        checkpoint: a file that a training wrote.
        out: the folder; made where it is missing.
        options: what is looked at.

    Raises:
        SeMmError: for a model without gates, an unknown class, an empty data set, or a checkpoint
            or a folder that does not fit.
    """
    choose_channels(1, options.channels, 0)  # refused before anything is read
    out = Path(out)
    make_folder(out, f'--out {out}')
    session = GateSession(cfg, checkpoint, out / 'log')
    loader = session.loader('test')
    pictures, said = choose_pictures(pictures_of(loader.dataset), options.per_class, options.seed)
    drawn = check_classes(options.classes, pictures.class_names, pictures.classes)
    say(*said)
    with TemporaryDirectory(dir=out, prefix='.gates-') as folder, _store(session, folder, len(pictures)) as store:
        batches = session.batches_of(loader, pictures.indices, 'gates')
        for values in gates_on(session.model, batches, session.gates):
            store.add(values)
        store.save(out / 'gates.npz', **_arrays(pictures))
        found = {name: gate_statistics(s, pictures.classes, pictures.sizes) for name, s in store.arrays()}
    unreadable = session.unreadable()
    say(*unreadable)
    removal, about = [], ''
    if options.removal:
        removal, about = _study(session, options)
    _write(session, pictures, found, drawn, options, [*said, *unreadable], removal, about, out)


def _store(session: GateSession, folder: str, count: int) -> GateStore:
    return GateStore(Path(folder), session.gates, count)


def _arrays(pictures: Pictures) -> dict[str, Any]:
    arrays: dict[str, Any] = dict(files=pictures.files, class_names=pictures.class_names, classes=pictures.classes)
    if pictures.sizes is not None:
        return arrays | dict(size_names=list(SIZES), sizes=pictures.sizes)
    if (pictures.classes.sum(1) == 1).all():
        arrays['labels'] = pictures.classes.argmax(1)
    return arrays


def _study(session: GateSession, options: GateOptions) -> tuple[list[Removal], str]:
    means, what = session.mean_gates(options.calibration, options.seed)
    metric, name, as_it_is = session.metric('test', options.metric)
    removal = study_removal(session.gates, means, lambda: metric(session.model))
    nothing = Removal('nothing', (), 0, as_it_is, as_it_is)
    return [nothing, *removal], f'{name} on the test set; mean gates over {what}'


def _write(
    session: GateSession,
    pictures: Pictures,
    found: Mapping[str, GateStatistics],
    drawn: Sequence[str],
    options: GateOptions,
    said: Sequence[str],
    removal: Sequence[Removal],
    about: str,
    out: Path,
) -> None:
    names = short_names(session.gates)
    header, rows = table_of(session.gates, found)
    for row in rows:
        row[0] = names[row[0]]
    print_table(header, rows)
    report = HtmlReport(f'What the gates do: {Path(session.cfg.filename or "config").stem}')
    kinds = ', '.join(sorted({type(gate.layer).__name__ for gate in session.gates}))
    facts = [
        ['checkpoint', str(session.checkpoint)],
        ['gates', f'{len(session.gates)} {kinds}, {sum(gate.channels for gate in session.gates):,} channels'],
        ['pictures', f'{len(pictures)}, up to {options.per_class} of each of {len(pictures.class_names)} classes'],
        ['channels drawn', f'{options.channels} of each block, uniformly sampled (seed {options.seed})'],
    ]
    report.add_table([], facts)
    for line in said:
        report.add_text(line)
    report.add_heading('Blocks')
    report.add_table(header, rows)
    groups = int((pictures.classes.sum(0) > 0).sum())
    report.add_text(_EXPLANATION.format(chance=max(groups - 1, 0) / max(len(pictures) - 1, 1)))
    drawings = draw_figures(session.gates, found, pictures, drawn, (options.channels, options.seed), out)
    for heading, file, alternative in drawings:
        report.add_heading(heading)
        report.add_picture(file, alternative)
    if removal:
        removal_header, removal_rows = removal_table(removal, names)
        print_table(removal_header, removal_rows)
        report.add_heading('Without the gates')
        report.add_text(f'{about}. s := 1: the layer does nothing. s := mean: each channel has the mean of its gate.')
        report.add_table(removal_header, removal_rows)
    content = {
        'checkpoint': str(session.checkpoint),
        'pictures': len(pictures),
        'blocks': {gate.name: _plain(gate, found[gate.name]) for gate in session.gates},
        'removal': {'about': about, 'groups': [dataclasses.asdict(entry) for entry in removal]},
    }
    write_atomic(out / 'gates.json', json.dumps(content, indent=1))
    report.write(out / 'report.html')
    say(f'{len(pictures)} pictures: {out / "report.html"}, gates.npz and gates.json beside it')


def table_of(gates: Sequence[Gate], found: Mapping[str, GateStatistics]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table, one row for each block."""
    columns = {
        attribute: title
        for attribute, title in COLUMNS.items()
        if any(getattr(entry, attribute) is not None for entry in found.values())
    }
    rows = []
    for gate in gates:
        numbers = [getattr(found[gate.name], attribute) for attribute in columns]
        rows.append([gate.name, str(gate.channels), f'{gate.parameters:,}', *map(_number, numbers)])
    return ['block', 'C', 'params', *columns.values()], rows


def removal_table(removal: Sequence[Removal], names: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the study of removal."""
    digits = 2 if removal[0].with_one > 1.5 else 4  # per cent, or a share
    rows = [
        [
            names.get(entry.what, entry.what),
            f'{entry.parameters:,}',
            f'{entry.with_one:.{digits}f}',
            f'{entry.with_mean:.{digits}f}',
        ]
        for entry in removal
    ]
    return ['without the gates of', 'parameters', 's := 1', 's := mean'], rows


def _plain(gate: Gate, entry: GateStatistics) -> dict[str, Any]:
    numbers = {attribute: getattr(entry, attribute) for attribute in COLUMNS}
    known = {name: None if value is None or math.isnan(value) else value for name, value in numbers.items()}
    return {'channels': gate.channels, 'parameters': gate.parameters, **known}


def _number(value: float | None) -> str:
    return '-' if value is None or np.isnan(value) else f'{value:.3f}'
