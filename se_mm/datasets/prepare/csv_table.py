"""A table with a row for each box: filename, width, height, class, xmin, ymin, xmax, ymax."""

from __future__ import annotations

import csv
from pathlib import Path

from ...config.coco_layout import files_below, split_of
from .annotated import Box, Picture, PictureIndex, Reading

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


def read(root: Path, index: PictureIndex) -> Reading | None:
    """The tables below a folder as a data set; ``None`` where there is none with these columns."""
    tables = {file: columns for file in files_below(root, ('.csv',)) if (columns := _columns(root / file))}
    if not tables:
        return None
    reading = Reading('CSV', files=len(tables), notes=['coordinates count from 0, in pixels'])
    pictures: dict[tuple[str, str | None], Picture] = {}
    for table, columns in tables.items():
        with (root / table).open(newline='', encoding='utf-8-sig') as stream:
            for row in csv.DictReader(stream, delimiter=_delimiter(root / table)):
                name = (row[columns['filename']] or '').strip()
                file = index.find(name, table)
                if file is None:
                    entry = (name or f'{table}: a row', f'is named by {table}: {index.why_not(name)}')
                    reading.broken += [entry] if entry not in reading.broken else []
                    continue
                split = split_of(table) if len(tables) > 1 else split_of(file)
                picture = pictures.setdefault((file, split), Picture(file, split=split))
                values = [(row[columns[side]] or '').strip() for side in _CORNERS]
                label = (row[columns['class']] or '').strip()
                if not label and not any(values):
                    continue  # a picture that shows nothing
                picture.boxes.append(Box(label, tuple(map(_number, values))))
    reading.pictures = list(pictures.values())
    return reading


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float('nan')


def _delimiter(table: Path) -> str:
    """What stands between the names of the columns."""
    with table.open(encoding='utf-8-sig', errors='replace') as stream:
        return max(',;\t', key=stream.readline().count)


def _columns(table: Path) -> dict[str, str] | None:
    """Our names of the columns and the table's; ``None`` for a table of something else."""
    try:
        with table.open(newline='', encoding='utf-8-sig', errors='replace') as stream:
            header = next(csv.reader(stream, delimiter=_delimiter(table)), [])
    except csv.Error:
        return None
    given = {name.strip().lower(): name for name in header}
    found = {ours: given[name] for ours, names in COLUMNS.items() for name in reversed(names) if name in given}
    return found if len(found) == len(COLUMNS) else None
