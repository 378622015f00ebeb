"""Validates COCO JSON entry by entry; unusable entries are removed and counted."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import SeMmError

Entry = dict[str, Any]
NEEDED = {'images': ('id', 'file_name', 'width', 'height'), 'annotations': (), 'categories': ('id', 'name')}

# mmdet leaves these out of the training by itself, and says nothing; in an evaluation the last two count.
UNKNOWN_CATEGORY = "of a category that is not among the config's classes"
UNKNOWN_IMAGE = 'of an image that the file does not list'
OUTSIDE = 'outside of the image'
BELOW_ONE_PIXEL = 'with a side below one pixel'
IGNORED = 'marked crowd or ignore'


@dataclass
class Inspection:
    """What :func:`inspect` found.

    Attributes:
        content: the file without the entries that would be read wrong.
        repaired: whether ``content`` differs from the file.
        taken_out: names of images and annotations that are not in ``content``, with the reason.
        left_out: the same for annotations that mmdet itself does not train on.
        usable: the annotations that are trained on.
    """

    content: dict[str, list[Entry]]
    repaired: bool = False
    taken_out: list[tuple[str, str]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    usable: int = 0

    def reasons(self) -> str:
        """What was taken or left out, by reason, the most frequent first."""
        counts = Counter(reason for _, reason in [*self.taken_out, *self.left_out])
        return ', '.join(f'{count} {reason}' for reason, count in counts.most_common())


def read(ann_file: Path) -> dict[str, list[Entry]]:
    """A COCO file.

    Raises:
        SeMmError: if it is no JSON, or lacks what every COCO file has.
    """
    try:
        content = json.loads(ann_file.read_bytes())
    except (ValueError, OSError, RecursionError) as error:
        raise SeMmError(f'{ann_file} is not JSON: {error}') from error
    for key, fields in NEEDED.items():
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise SeMmError(f'{ann_file} is not COCO JSON: it has no list {key!r}; expected {", ".join(NEEDED)}')
        for i, entry in enumerate(entries):
            missing = [name for name in fields if not isinstance(entry, dict) or name not in entry]
            if missing:
                raise SeMmError(f'{ann_file} is not COCO JSON: {key}[{i}] lacks {", ".join(missing)}')
            if fields and not _is_id(entry['id']):
                raise SeMmError(f'{ann_file}: the id of {key}[{i}] is {entry["id"]!r}; expected a number or a text')
    _check_categories(content['categories'], ann_file)
    return content


def is_plain_utf8(ann_file: Path) -> bool:
    """Whether pycocotools can read a JSON file: without a byte order mark, and not in UTF-16 or UTF-32."""
    with ann_file.open('rb') as stream:
        return json.detect_encoding(stream.read(4)) == 'utf-8'


def _check_categories(categories: list[Entry], ann_file: Path) -> None:
    for name in ('id', 'name'):
        if name == 'name' and (odd := next((c for c in categories if not isinstance(c['name'], str)), None)):
            raise SeMmError(f'{ann_file}: the name of category {odd["id"]} is {odd["name"]!r}; expected a text')
        twice = [value for value, count in Counter(c[name] for c in categories).items() if count > 1]
        if twice:
            raise SeMmError(f'{ann_file}: {len(twice)} categories share the {name} {twice[0]!r}; each needs its own')


def inspect(content: dict[str, list[Entry]], category_ids: Collection[Hashable]) -> Inspection:
    """Validates each entry as mmdet and pycocotools will read it.

    Entries that they would misread or fail on are removed: boxes that are not four finite numbers or
    are inverted, images of no size, ids that two different images share. An annotation's id that
    is no positive whole number, or that two share, is given anew: pycocotools keeps matches as
    numbers, where 0 is none. A missing area is that of the box.

    Args:
        content: as :func:`read` returns it.
        category_ids: of the classes that are trained.

    Example:
        >>> image = {'id': 1, 'file_name': 'a.jpg', 'width': 8, 'height': 8}
        >>> boxes = [[1, 1, 4, 4], [1, 1, float('nan'), 4]]
        >>> found = inspect({
        ...     'images': [image], 'categories': [{'id': 1, 'name': 'cell'}],
        ...     'annotations': [{'id': i, 'image_id': 1, 'category_id': 1, 'bbox': box} for i, box in enumerate(boxes)],
        ... }, {1})
        >>> found.usable, found.taken_out
        (1, [('annotation 1 of a.jpg', 'with a box that is not four finite numbers')])
    """
    found = Inspection({**content, 'images': [], 'annotations': []})
    images, refused = _images(content['images'], found)
    ids: set[Hashable] = set()
    next_id = _above(content['annotations'])
    for i, annotation in enumerate(content['annotations']):
        name = _name(annotation, i, images)
        wrong = _why_wrong(annotation, refused)
        if wrong:
            found.taken_out.append((name, wrong))
            continue
        mended = dict(annotation)
        if not _is_finite(mended.get('area')):
            mended['area'] = mended['bbox'][2] * mended['bbox'][3]
        if mended.get('iscrowd') is None:  # pycocotools reads it of each
            mended['iscrowd'] = 0
        if not _is_match_id(mended.get('id')) or mended['id'] in ids:
            mended['id'] = next_id
            next_id += 1
        ids.add(mended['id'])
        found.repaired |= mended != annotation
        found.content['annotations'].append(mended)
        unused = _why_unused(mended, images, category_ids)
        if unused:
            found.left_out.append((name, unused))
        else:
            found.usable += 1
    found.repaired |= bool(found.taken_out)
    return found


def _images(entries: list[Entry], found: Inspection) -> tuple[dict[Hashable, Entry], set[Hashable]]:
    """The images by their ids, and the ids that cannot be used."""
    by_id: dict[Hashable, list[Entry]] = defaultdict(list)
    for entry in entries:
        if not any(entry['file_name'] == other['file_name'] for other in by_id[entry['id']]):
            by_id[entry['id']].append(entry)
        else:
            found.repaired = True  # the same image twice
    refused = set()
    for identity, same in by_id.items():
        for entry in same:
            wrong = (
                'with a file_name that is no text'
                if not isinstance(entry['file_name'], str) or not entry['file_name'] or '\0' in entry['file_name']
                else f'with the id {identity} of another image'
                if len(same) > 1
                else 'with a width or height that is no positive number'
                if not all(_is_finite(entry[side]) and entry[side] > 0 for side in ('width', 'height'))
                else None
            )
            if wrong:
                refused.add(identity)
                found.taken_out.append((f'image {entry["file_name"]}', wrong))
            else:
                found.content['images'].append(entry)
    return {entry['id']: entry for entry in found.content['images']}, refused


def _why_wrong(annotation: Any, refused: set[Hashable]) -> str | None:
    if not isinstance(annotation, dict):
        return 'that is no dictionary'
    box = annotation.get('bbox')
    if not (isinstance(box, list) and len(box) == 4 and all(_is_finite(value) for value in box)):
        return 'with a box that is not four finite numbers'
    if box[2] < 0 or box[3] < 0:
        return 'with an inverted box (x, y, width and height are expected)'
    for key in ('image_id', 'category_id'):
        if not _is_id(annotation.get(key)):
            return f'without {key}'
    if annotation['image_id'] in refused:
        return 'of an image that is taken out'
    return None


def _why_unused(annotation: Entry, images: dict[Hashable, Entry], category_ids: Collection[Hashable]) -> str | None:
    if annotation['image_id'] not in images:
        return UNKNOWN_IMAGE
    if annotation['category_id'] not in category_ids:
        return UNKNOWN_CATEGORY
    x, y, width, height = annotation['bbox']
    if width < 1 or height < 1 or annotation['area'] <= 0:
        return BELOW_ONE_PIXEL
    image = images[annotation['image_id']]
    if min(x + width, image['width']) <= max(x, 0) or min(y + height, image['height']) <= max(y, 0):
        return OUTSIDE
    return IGNORED if annotation.get('iscrowd') or annotation.get('ignore') else None


def _name(annotation: Any, index: int, images: dict[Hashable, Entry]) -> str:
    if not isinstance(annotation, dict):
        return f'annotations[{index}]'
    image = annotation.get('image_id')
    where = images[image]['file_name'] if _is_id(image) and image in images else f'image {image}'
    return f'annotation {annotation.get("id", f"[{index}]")} of {where}'


def _above(annotations: list[Any]) -> int:
    """A positive number larger than all ids."""
    return 1 + int(max((a['id'] for a in _dicts(annotations) if _is_match_id(a.get('id'))), default=0))


def _dicts(entries: list[Any]) -> Iterator[Entry]:
    return (entry for entry in entries if isinstance(entry, dict))


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or _is_finite(value)


def _is_match_id(value: Any) -> bool:
    return _is_finite(value) and value > 0 and value == int(value)


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False
