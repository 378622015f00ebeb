"""A folder of pictures and boxes in any usual format becomes COCO JSON beside the pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ...errors import SeMmError, listed
from ...utils.atomic import write_atomic
from ..annotations import checks, coco, csv_table, splits, voc, yolo
from ..annotations.pictures import PictureIndex, passed_over, sizes_or_reasons
from ..annotations.records import PredictionsError, Reading, Records
from .folders import SHOWN, check_arguments, how_to_train


def _read_coco(root: Path, index: PictureIndex) -> Reading | None:
    """The COCO files below a folder, but for ours, as one data set."""
    parts, skipped = [], coco.rejected(root)
    for name in coco.candidates(root):
        if not coco.summary(root / name):
            continue
        part = coco.read(root / name)
        coco.drop_groupings(part)
        if part.notes != [coco.MADE_BY]:
            try:
                _find_pictures(root, name, part, index)
                parts.append(part)
            except SeMmError as error:
                skipped.append(str(error).removeprefix(f'{root}/'))
    if not parts:
        if skipped:
            raise PredictionsError(f'{root}: {"; ".join(skipped)}')
        return None
    reading = Reading('COCO JSON', Records.together([part.records for part in parts]), len(parts))
    reading.notes = [f'not read: {why}' for why in skipped]
    for part in parts:
        reading.broken += part.broken
        reading.findings += part.findings
    records = reading.records
    records.crowd, records.ignored = records.crowd | records.ignored, np.zeros_like(records.ignored)
    return reading


def _find_pictures(root: Path, name: str, part: Reading, index: PictureIndex) -> None:
    """Replaces the names of pictures by paths from the root; those that are nowhere are broken."""
    records, split = part.records, splits.split_of(name)
    some = [records.files[i * (len(records.files) - 1) // 5] for i in range(6)] if records.files else []
    folder = Path(coco.images_folder(root, name, some, index))
    there = np.ones(len(records.files), bool)
    for i, given in enumerate(records.files):
        usual = (folder / given).as_posix()
        file = usual if usual in index.real else index.find(given, name, split)
        there[i] = file is not None
        records.files[i] = file or given
        if file is None:
            part.broken.append((given, f'is named by {name}: {index.why_not(given)}'))
    records.splits = [split or splits.split_of(file) for file in records.files]
    records.sources = [name] * len(records.files)
    records.keep_pictures(there)


#: In the order in which they are looked for.
READERS: dict[str, Callable[[Path, PictureIndex], Reading | None]] = {
    'coco': _read_coco,
    'voc': voc.read,
    'yolo': yolo.read,
    'csv': csv_table.read,
}


def prepare_detection(
    root: Path,
    val: float = 0.2,
    seed: int = 0,
    kind: str | None = None,
    *,
    names: Sequence[str] | None = None,
    force: bool = False,
    skip_missing: bool = False,
    rescale: bool = False,
) -> list[str]:
    """Reads the annotations below a folder, checks them, and writes ``annotations/instances_<split>.json`` there.

    Splits that are declared are kept; where none is for validation, ``val`` of the pictures are set
    aside, chosen by a hash of seed and name, so that it is the same everywhere and further pictures
    move few of the others. Names in the files are relative to ``root``.

    Args:
        root: the folder.
        val: the share of the pictures in the validation set, above 0 and below 1.
        seed: of the choice.
        kind: a key of ``READERS``; ``None``: the first format that is there.
        names: of the classes of YOLO text that does not name them.
        force: whether what was prepared before is made anew.
        skip_missing: whether what can be used is written, however much is missing or broken.
        rescale: whether boxes of pictures that were resized after annotation are scaled.

    Returns:
        What was found and done, for the user.

    Raises:
        SeMmError: if there are no annotations, more than a tenth of the files (or of the entries
            of a single file) cannot be used, pictures have another size than annotated, no box
            can be used, or a file that is not ours is in the way.
    """
    check_arguments(root, val)
    targets = {split: root / 'annotations' / f'instances_{split}.json' for split in splits.SPLITS}
    asked = force or skip_missing or rescale
    if done := _already_done(root, targets, asked):
        return done
    index = PictureIndex(root)
    if not index.files:
        raise SeMmError(f'{root.absolute()} holds no picture (.jpg, .png, ...)')
    reading = _read(root, index, kind, names, skip_missing)
    records = reading.records
    lines = [f'{root}: {_counted(reading.files, reading.what + " file")}, {_counted(len(index.files), "picture")}; ']
    lines[0] += '; '.join(reading.notes) or 'read as they are'
    lines += passed_over(root)
    reading.findings += records.merge([index.real[file] for file in records.files])
    _check(root, reading, rescale, skip_missing)
    lines += [*map(str, reading.findings), *_listed_broken(reading.broken)]
    declared = {'train', 'val'} <= set(records.splits) and None not in records.splits
    if reading.what == 'COCO JSON' and declared and not (reading.findings or reading.broken or asked or kind):
        return [*lines, 'split, and nothing to mend: nothing to convert', how_to_train(root)]
    assigned, said = splits.assign(records.files, records.splits, val, seed)
    return [*lines, *said, *_written(reading, assigned, targets), how_to_train(root)]


def _listed_broken(broken: Sequence[tuple[str, str]]) -> list[str]:
    shown = f' ({SHOWN} shown)' if len(broken) > SHOWN else ''
    first = f'left out: {_counted(len(broken), "file")} that cannot be used{shown}:'
    return [first, *(f'  {name} {why}' for name, why in broken[:SHOWN])] if broken else []


def _written(reading: Reading, assigned: Sequence[str], targets: dict[str, Path]) -> list[str]:
    """Writes a file for each split, removes one of ours that has no pictures any longer, and says what is in them."""
    for target in targets.values():
        if target.exists() and not coco.is_ours(target):
            raise SeMmError(f'{target} is there, and was not made by this tool: nothing is written over; move it away')
    lines = []
    for split, target in targets.items():
        target.parent.mkdir(exist_ok=True)
        if split in assigned:
            part = Records(**vars(reading.records))
            part.keep_pictures(np.array([own == split for own in assigned]))
            write_atomic(target, json.dumps(coco.content_of(part, f'{coco.MADE_BY} from {reading.what}')))
            lines.append(f'{target}: {_contents(part)}')
        else:
            target.unlink(missing_ok=True)
    return lines


def _contents(records: Records) -> str:
    counts = np.bincount(records.label, minlength=len(records.classes))
    each = listed([f'{name} {count}' for name, count in zip(records.classes, counts, strict=True)])
    totals = {'image': len(records.files), 'box': len(records.masks), 'class': len(records.classes)}
    return f'{", ".join(_counted(count, what) for what, count in totals.items())} ({each})'


def _counted(count: int, what: str) -> str:
    return f'{count} {what}' if count == 1 else f'{count} {what}{"es" if what.endswith(("s", "x")) else "s"}'


def _already_done(root: Path, targets: dict[str, Path], asked: bool) -> list[str]:
    """What to say where our files are there already."""
    there = [target for target in targets.values() if target.exists()]
    ours = [target for target in there if coco.is_ours(target)]
    if asked or len(ours) < 2 or targets['train'] not in ours or targets['val'] not in ours:
        return []
    made = min(target.stat().st_mtime for target in ours)
    newer = [
        name
        for name in coco.files_below(root, ('.json', '.xml', '.txt', '.csv', '.yaml', '.yml'))
        if (root / name) not in targets.values() and (root / name).stat().st_mtime > made
    ]
    line = f'{listed([str(target) for target in ours])}: there already; --force makes them anew'
    return [line, *([f'newer than they are: {listed(newer, 3)}'] if newer else []), how_to_train(root)]


def _read(
    root: Path, index: PictureIndex, kind: str | None, names: Sequence[str] | None, skip_missing: bool
) -> Reading:
    """The data set by the first reader that finds something."""
    refused = []
    for name, reader in READERS.items():
        if kind not in (None, name):
            continue
        try:
            reading = yolo.read(root, index, names) if name == 'yolo' else reader(root, index)
        except PredictionsError as error:
            refused.append(str(error))
            continue
        if reading is not None:
            reading.notes += refused
            if not skip_missing:
                _refuse_most_broken(root, reading)
            return reading
    raise SeMmError(
        f'{root.absolute()} has {len(index.files)} pictures and no annotations that can be used; expected one of COCO '
        'JSON, Pascal VOC XML, YOLO text (images/ and labels/), or a CSV with the columns filename, width, height, '
        f'class, xmin, ymin, xmax, ymax{"".join(f"; {why}" for why in refused)}'
    )


def _refuse_most_broken(root: Path, reading: Reading) -> None:
    # A file of COCO JSON or CSV has many entries.
    broken = reading.broken
    entries = reading.files if reading.files > 1 else max(1, len(reading.records.files) + len(broken))
    if len(broken) > checks.MOST_BROKEN * entries and (len(broken) > 1 or not reading.records.files):
        some = '\n'.join(f'  {name} {why}' for name, why in broken[:SHOWN])
        kind = 'files' if entries == reading.files else 'entries'
        more = f'\n  and {len(broken) - SHOWN} more' if len(broken) > SHOWN else ''
        raise SeMmError(
            f'{root}: {len(broken)} of {entries} {reading.what} {kind} cannot be used:\n{some}{more}\n'
            '--skip-missing writes what can be used'
        )


def _check(root: Path, reading: Reading, rescale: bool, skip_missing: bool) -> None:
    """Looks at every picture and object; what cannot be used leaves the records."""
    records = reading.records
    records.take_pictures(np.argsort(records.files, kind='stable'))
    sizes = sizes_or_reasons(root, records.files)
    broken = [(file, size) for file, size in zip(records.files, sizes, strict=True) if isinstance(size, str)]
    reading.broken += broken
    readable = np.array([not isinstance(size, str) for size in sizes])
    records.keep_pictures(readable)
    sizes = [size for size in sizes if not isinstance(size, str)]
    reading.findings += checks.compare_sizes(records, sizes, rescale, skip_missing)
    reading.findings += checks.leave_out(records, (*checks.MISREAD, *checks.UNWRITTEN))
    reading.findings += checks.cut_at_edges(records)
    reading.findings += checks.mend_masks(records, needed=False)
    if not len(records.masks):
        why = '; '.join(map(str, reading.findings)) or '; '.join(f'{name} {why}' for name, why in reading.broken[:3])
        raise SeMmError(f'{root}: {reading.what} without a box that can be used: {why or "there are none"}')
