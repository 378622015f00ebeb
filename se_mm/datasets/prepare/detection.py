"""A folder of pictures and boxes in any usual format becomes COCO JSON beside the pictures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...config.coco_layout import coco_candidates, find_coco, read_coco
from ...errors import SeMmError, listed
from ...utils.atomic import write_atomic
from . import coco_file, csv_table, voc, yolo
from .annotated import (
    MOST_BROKEN,
    SHOWN,
    Picture,
    PictureIndex,
    Reader,
    Reading,
    check_arguments,
    checked_box,
    how_to_train,
    set_aside,
    sizes_or_reasons,
    stored_size,
)

#: In the order in which they are looked for.
READERS: dict[str, Reader] = {'coco': coco_file.read, 'voc': voc.read, 'yolo': yolo.read, 'csv': csv_table.read}
#: What a file of ours says of itself.
MADE_BY = 'made by se_mm tools/prepare_data.py'


def prepare_detection(root: Path, val: float = 0.2, seed: int = 0, kind: str | None = None) -> list[str]:
    """Reads the annotations below a folder, checks them, and writes ``annotations/instances_<split>.json`` there.

    The split of the data set is kept; where it has none, ``val`` of the pictures are set aside,
    chosen by a hash of seed and name, so that it is the same everywhere and further pictures move
    few of the others. Names in the files are relative to ``root``.

    Args:
        root: the folder.
        val: the share of the pictures in the validation set, above 0 and below 1.
        seed: of the choice.
        kind: a key of ``READERS``; ``None``: the first format that is there.

    Returns:
        What was found and done, for the user.

    Raises:
        SeMmError: if there are no annotations, more than a tenth of the files (or of the entries
            of a single file) cannot be used, no box can be used, or a file that is not ours is
            in the way.
    """
    check_arguments(root, val)
    targets = {split: root / 'annotations' / f'instances_{split}.json' for split in ('train', 'val', 'test')}
    if done := _already_done(root, targets, kind):
        return done
    reading, lines = _read(root, kind)
    entries, said = _check(root, reading)
    lines += said
    lines += _split(reading.pictures, val, seed)
    classes = reading.classes or sorted({box.name for picture in reading.pictures for box in picture.boxes})
    (root / 'annotations').mkdir(exist_ok=True)
    for split, target in targets.items():
        part = [(picture, *entries[picture.file]) for picture in reading.pictures if picture.split == split]
        if part:
            content = _coco(part, classes, f'{MADE_BY} from {reading.what}')
            write_atomic(target, json.dumps(content))
            counts = Counter(annotation['category_id'] for annotation in content['annotations'])
            count = ', '.join(f'{name} {counts[i]}' for i, name in enumerate(classes[:10], start=1))
            more = ', ...' if len(classes) > 10 else ''
            lines.append(
                f'{target}: {len(part)} images, {len(content["annotations"])} boxes, '
                f'{len(classes)} classes ({count}{more})'
            )
    return [*lines, how_to_train(root)]


def _already_done(root: Path, targets: dict[str, Path], kind: str | None) -> list[str]:
    """What to say where nothing has to be written.

    Raises:
        SeMmError: if files of others are where ours would be, and are no complete data set.
    """
    there = [target for target in targets.values() if target.exists()]
    ours = [target for target in there if _description(target).startswith(MADE_BY)]
    hint = how_to_train(root)
    if there and ours == there:
        if not {targets['train'], targets['val']} <= set(there):
            for target in there:  # of a preparation that was interrupted; read as a source it would be half of one
                target.replace(target.with_suffix('.json.old'))
            return []
        return [f'{", ".join(map(str, there))}: {_description(there[0])}; delete them to make them anew', hint]
    found = {} if ours or kind not in (None, 'coco') else find_coco(root)
    if 'train' in found and ('val' in found or 'test' in found):
        lines = [
            f'COCO JSON: {split} {file.file}: {file.count} images in {root / file.images}, '
            f'{len(file.classes)} classes ({listed(file.classes)})'
            for split, file in found.items()
            if split
        ]
        used = {file.file for file in found.values()}
        if others := [name for name in coco_candidates(root) if name not in used and read_coco(root / name)]:
            lines.append(f'COCO JSON too, and not read: {listed(others)}')
        return [*lines, 'nothing to convert', hint]
    if there:
        raise SeMmError(f'{there[0]} is there, and was not made by this tool: nothing is written over; move it away')
    return []


def _description(file: Path) -> str:
    try:
        return str(json.loads(file.read_bytes()).get('info', {}).get('description', ''))
    except (OSError, ValueError, AttributeError):
        return ''


def _read(root: Path, kind: str | None) -> tuple[Reading, list[str]]:
    """The data set by the first reader that finds something, and what to say of it."""
    index = PictureIndex(root)
    if not index.files:
        raise SeMmError(f'{root.absolute()} holds no picture (.jpg, .png, ...)')
    for name, reader in READERS.items():
        if kind not in (None, name):
            continue
        reading = reader(root, index)
        if reading is not None:
            files = f'{reading.files} {reading.what} file{"s" if reading.files != 1 else ""}'
            lines = [f'{root}: {files}, {len(index.files)} pictures; {"; ".join(reading.notes) or "read as they are"}']
            _refuse_most_broken(root, reading)
            return reading, lines
    raise SeMmError(
        f'{root.absolute()} has {len(index.files)} pictures and no annotations that are known; expected one of COCO '
        'JSON, Pascal VOC XML, YOLO text (images/ and labels/), or a CSV with the columns filename, width, height, '
        'class, xmin, ymin, xmax, ymax'
    )


def _refuse_most_broken(root: Path, reading: Reading) -> None:
    # A file of COCO JSON or CSV has many entries.
    entries = reading.files if reading.files > 1 else max(1, len(reading.pictures) + len(reading.broken))
    if len(reading.broken) > MOST_BROKEN * entries and (len(reading.broken) > 1 or not reading.pictures):
        some = '\n'.join(f'  {name} {why}' for name, why in reading.broken[:SHOWN])
        kind = 'files' if entries == reading.files else 'entries'
        raise SeMmError(f'{root}: {len(reading.broken)} of {entries} {reading.what} {kind} cannot be used:\n{some}')


def _check(root: Path, reading: Reading) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Looks at every picture and box; what cannot be used leaves ``reading``.

    Returns:
        The sizes of the pictures, and what was found.
    """
    reading.pictures.sort(key=lambda picture: picture.file)
    sizes = sizes_or_reasons(root, [picture.file for picture in reading.pictures])
    usable, found, known = {}, Counter(), set(reading.classes or ())
    examples: dict[str, str] = {}
    for picture, size in zip(reading.pictures, sizes, strict=True):
        if isinstance(size, str):
            reading.broken.append((picture.file, size))
            continue
        if picture.size and picture.size == size[::-1] == stored_size(root / picture.file):
            size = picture.size
            found[reason := 'pictures are turned by their EXIF data and annotated as stored; they are read so'] += 1
            examples.setdefault(reason, picture.file)
        elif picture.size and picture.size != size:
            found[reason := 'pictures have another size than their annotation says; theirs is used'] += 1
            examples.setdefault(reason, f'{picture.file}: {size[0]}x{size[1]}, not {picture.size[0]}x{picture.size[1]}')
        usable[picture.file] = size
        boxes = []
        for box in picture.boxes:
            kept, why = checked_box(box, *size)
            if not box.name or (known and box.name not in known):
                kept, why = None, f'is of the class {box.name!r}, which is unknown'
            if why:
                reason = f'boxes: each {why}' + ('' if kept else '; left out')
                found[reason] += 1
                examples.setdefault(reason, f'{picture.file}: {box.name} {box.corners}')
            boxes += [kept] if kept else []
        picture.boxes = boxes
    reading.pictures = [picture for picture in reading.pictures if picture.file in usable]
    if not any(picture.boxes for picture in reading.pictures):
        why = '; '.join(f'{count} {reason} ({examples[reason]})' for reason, count in found.items())
        broken = '; '.join(f'{name} {why}' for name, why in reading.broken[:3])
        raise SeMmError(f'{root}: {reading.what} without a box that can be used: {why or broken or "there are none"}')
    lines = [f'{count} {reason} (as {examples[reason]})' for reason, count in found.items()]
    if reading.broken:
        more = f' ({SHOWN} shown)' if len(reading.broken) > SHOWN else ''
        lines.append(f'{len(reading.broken)} files cannot be used and are left out{more}:')
        lines += [f'  {name} {why}' for name, why in reading.broken[:SHOWN]]
    return usable, lines


def _split(pictures: Sequence[Picture], val: float, seed: int) -> list[str]:
    """Gives every picture a split."""
    counts = Counter(picture.split for picture in pictures)
    if counts['train'] and counts['val']:
        for picture in pictures:
            picture.split = picture.split or 'train'
        return []
    if counts['train'] and counts['test']:
        for picture in pictures:
            picture.split = 'val' if picture.split == 'test' else 'train'
        return ['no validation set: the test set is used for it']
    free = [picture for picture in pictures if picture.split != 'test']
    if len(free) < 2:
        raise SeMmError(f'{len(free)} pictures with annotations; expected two at the least, to train and to validate')
    aside = set_aside([picture.file for picture in free], val, seed)
    for picture in free:
        picture.split = 'val' if picture.file in aside else 'train'
    return [f'no split: {len(aside)} of {len(free)} pictures are set aside for validation (--val {val} --seed {seed})']


def _coco(part: Sequence[tuple[Picture, int, int]], classes: Sequence[str], description: str) -> dict[str, Any]:
    categories = {name: i for i, name in enumerate(classes, start=1)}
    images, annotations = [], []
    for picture, width, height in part:
        image = {'id': len(images) + 1, 'file_name': picture.file, 'width': width, 'height': height}
        images.append(image)
        for box in picture.boxes:
            x1, y1, x2, y2 = box.corners
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': image['id'],
                    'category_id': categories[box.name],
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'area': (x2 - x1) * (y2 - y1),
                    'iscrowd': int(box.difficult),
                    **box.fields,
                }
            )
    return {
        'info': {'description': description},
        'images': images,
        'annotations': annotations,
        'categories': [{'id': i, 'name': name} for name, i in categories.items()],
    }
