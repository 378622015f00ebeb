"""A table with a row for each box: filename, width, height, class, xmin, ymin, xmax, ymax."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from .pictures import PictureIndex, files_below
from .records import Object, Picture, PredictionsError, Reading, Records
from .splits import split_of

#: The names that each column goes by.
COLUMNS = {
    'filename': ('filename', 'file_name', 'image', 'image_path', 'image_id', 'file'),
    'class': ('class', 'label', 'class_name', 'name', 'category'),
    'xmin': ('xmin', 'x1', 'x_min'),
    'ymin': ('ymin', 'y1', 'y_min'),
    'xmax': ('xmax', 'x2', 'x_max'),
    'ymax': ('ymax', 'y2', 'y_max'),
}
_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
_SCORES = {'score', 'scores', 'confidence', 'conf'}


def read(root: Path, index: PictureIndex) -> Reading | None:
    """The tables below a folder as a data set; ``None`` where there is none with these columns.

    Raises:
        SeMmError: if all of them hold predictions.
    """
    headers = {file: _header(root / file) for file in files_below(root, ('.csv',))}
    tables = {file: columns for file, header in headers.items() if (columns := _columns(header))}
    scored = [file for file in tables if _SCORES & headers[file].keys()]
    tables = {file: columns for file, columns in tables.items() if file not in scored}
    if not tables:
        if scored:
            raise PredictionsError(f'{root / scored[0]} holds predictions (each has a score), which are no annotations')
        return None
    pictures: dict[tuple[str, str], Picture] = {}
    broken: dict[tuple[str, str], None] = {}
    for table, columns in tables.items():
        split = split_of(table) if len(tables) > 1 else None
        with (root / table).open(newline='', encoding='utf-8-sig') as stream:
            for row in csv.DictReader(stream, delimiter=_delimiter(root / table)):
                entry = {ours: (row[given] or '').strip() for ours, given in columns.items()}
                name = entry['filename']
                file = index.find(name, table, split) if name else None
                if file is None:
                    broken[name or f'{table}: a row', f'is named by {table}: {index.why_not(name or "?")}'] = None
                    continue
                size = [_number(row.get(headers[table].get(side, '')) or '0') for side in ('width', 'height')]
                size = tuple(map(int, size)) if all(0 < side < 1 << 31 for side in size) else (0, 0)
                declared = split or split_of(file)
                picture = pictures.setdefault((file, table), Picture(file, [], declared, size, table))
                corners = [entry[side] for side in _CORNERS]
                if entry['class'] or any(corners):  # else a picture that shows nothing
                    picture.objects.append(Object(entry['class'], [*map(_number, corners)]))
    reading = Reading('CSV', Records.of(list(pictures.values())), len(tables), list(broken))
    reading.notes.append('coordinates count from 0, in pixels')
    if scored:
        reading.notes.append(f'{", ".join(scored)}: predictions (each has a score), not read')
    return reading


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _delimiter(table: Path) -> str:
    """What stands between the names of the columns."""
    with table.open(encoding='utf-8-sig', errors='replace') as stream:
        return max(',;\t', key=stream.readline().count)


def _header(table: Path) -> dict[str, str]:
    """The table's own names of its columns, by these in lower case."""
    try:
        with table.open(newline='', encoding='utf-8-sig', errors='replace') as stream:
            names = next(csv.reader(stream, delimiter=_delimiter(table)), [])
    except csv.Error:
        return {}
    return {name.strip().lower(): name for name in names}


def _columns(header: dict[str, str]) -> dict[str, str] | None:
    """Our names of the columns and the table's; ``None`` for a table of something else."""
    found = {ours: header[name] for ours, names in COLUMNS.items() for name in reversed(names) if name in header}
    return found if len(found) == len(COLUMNS) else None
