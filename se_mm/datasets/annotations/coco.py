"""COCO's JSON: found below a folder, read into records, written from them."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from ...errors import SeMmError, listed
from .masks import box_of
from .pictures import PictureIndex, files_below
from .records import Finding, PredictionsError, Reading, Records
from .remembered import remembered
from .splits import split_of

Entry = dict[str, Any]
#: What a file of ours says of itself.
MADE_BY = 'made by se_mm tools/prepare_data.py'
#: What the predictions of ``tools/infer.py`` say of themselves.
PREDICTIONS = 'predictions by se_mm tools/infer.py'
#: COCO's own files of other tasks, which have no boxes to train on.
_OTHER_TASKS = ('captions', 'person_keypoints', 'panoptic', 'stuff', 'image_info')
_LISTS = ('images', 'annotations', 'categories')
#: Pictures that are looked for to find their folder.
_TRIED = 5


class CocoFile(NamedTuple):
    """A COCO annotation file below a root.

    Attributes:
        file: relative to the root.
        images: the folder of its pictures, relative to the root; ``''``: the root.
        classes: in the order of its categories, without those that only group others.
        has_masks: whether an annotation has a segmentation.
        count: of pictures.
    """

    file: str
    images: str
    classes: tuple[str, ...]
    has_masks: bool
    count: int


def find(root: str | Path) -> dict[str | None, CocoFile]:
    """The COCO files with boxes below a folder, by split.

    Files that ``tools/prepare_data.py`` wrote (``annotations/instances_*.json``) come before others.

    Returns:
        A file for each of ``'train'``, ``'val'`` and ``'test'`` that is there; under ``None`` one
        whose name does not say its split.

    Raises:
        SeMmError: if the pictures of a file are nowhere below the root.
    """
    root = Path(root)
    found: dict[str | None, CocoFile] = {}
    for name in candidates(root):
        split = split_of(name)
        if split not in found and (known := summary(root / name)):
            images = images_folder(root, name, known['names'])
            found[split] = CocoFile(name, images, tuple(known['classes']), known['has_masks'], known['count'])
    return found


def candidates(root: Path) -> list[str]:
    """The JSON files below a folder that may be COCO's, those of ``tools/prepare_data.py`` first."""
    names = [name for name in files_below(root, ('.json',)) if name.count('/') <= 2]
    names = [name for name in names if not PurePosixPath(name).name.startswith(_OTHER_TASKS)]
    return sorted(names, key=lambda name: not name.startswith('annotations/instances_'))


def summary(file: Path) -> dict[str, Any] | None:
    """What :class:`CocoFile` says of a COCO file, and names of some pictures; ``None`` for any other JSON."""

    def find_out() -> dict[str, Any]:
        try:
            reading = read(file)
        except SeMmError:
            return {}
        drop_groupings(reading)
        names = reading.records.files
        return {
            'names': [names[i * (len(names) - 1) // _TRIED] for i in range(_TRIED + 1)] if names else [],
            'classes': reading.records.classes,
            'has_masks': any(reading.records.masks),
            'count': len(names),
        }

    return remembered(file, ['summary'], find_out) or None


def is_ours(file: Path) -> bool:
    """Whether ``tools/prepare_data.py`` wrote a file."""
    if not file.is_file():
        return False
    with file.open('rb') as stream:
        return MADE_BY.encode() in stream.read(1000)


def rejected(root: Path) -> list[str]:
    """The COCO files below a folder that cannot be used, with the reason; JSON of something else is none of them."""
    reasons = []
    for name in candidates(root):
        try:
            drop_groupings(read(root / name))
        except SeMmError as error:
            with contextlib.suppress(SeMmError):
                content = load(root / name)
                alike = isinstance(content, dict) and {'images', 'annotations'} & content.keys()
                if not (alike or _scored(content)):
                    continue
            reasons.append(str(error).replace(f'{root}/', '', 1))
    return reasons


def images_folder(root: Path, file: str, some: Sequence[str], index: PictureIndex | None = None) -> str:
    """The folder, relative to the root, in which the pictures of a COCO file are.

    Raises:
        SeMmError: if there is none of ``some``, their names.
    """
    split, parent = split_of(file), PurePosixPath(file).parent.as_posix()
    if any((root / name).is_file() for name in some):
        return ''
    index = index or PictureIndex(root)
    folders = {
        picture.removesuffix(f'/{name}') for picture in index.files for name in some if picture.endswith(f'/{name}')
    }
    # Of pictures of one name those of the split, or beside the file, are meant.
    if folders:
        return min(folders, key=lambda folder: (split_of(f'{folder}/x') != split, folder != parent, folder))
    if any(index.find(name, file, split) for name in some):
        return ''
    raise SeMmError(
        f'{root / file} names pictures such as {listed(some, 1)}, which are nowhere below {root.absolute()}; put them '
        'there'
    )


def load(file: Path) -> Any:
    """The content of a JSON file.

    Raises:
        SeMmError: if it is none.
    """
    enabled = gc.isenabled()
    gc.disable()  # looks through millions of new objects again and again
    try:
        return json.loads(file.read_bytes())
    except (ValueError, OSError, RecursionError) as error:
        raise SeMmError(f'{file} is not JSON: {error}') from error
    finally:
        if enabled:
            gc.enable()


def read(file: Path, boxes: bool = True) -> Reading:
    """A COCO file as records, with what could be mended mended.

    Args:
        file: of any size; that which was read last is kept until :func:`forget`.
        boxes: whether it has to have annotations (a list of pictures for a server has none).

    Raises:
        SeMmError: if it is no JSON, lacks what cannot be computed, or holds predictions.
    """
    state = file.stat()
    reading = copy.copy(_read(file, boxes, state.st_size, state.st_mtime_ns))
    columns = vars(reading.records).items()
    reading.records = Records(
        **{name: list(column) if isinstance(column, list) else column for name, column in columns}
    )
    reading.findings = list(reading.findings)
    return reading


def forget() -> None:
    """Frees the memory of the file that was read last."""
    _read.cache_clear()
    gc.unfreeze()


@functools.lru_cache(maxsize=1)
def _read(file: Path, boxes: bool, *_: int) -> Reading:
    content = load(file)
    gc.freeze()  # millions of objects that no collection need look through again
    _check_lists(content, file, boxes)
    findings: list[Finding] = []
    with file.open('rb') as stream:
        if json.detect_encoding(stream.read(4)) != 'utf-8':
            findings.append(Finding('mended', 'in another encoding than UTF-8', [file.name], 'file'))
    class_ids, classes = _categories(content['categories'], file)
    images, refused = _images(content['images'], findings)
    picture_ids = [image['id'] for image in images]
    names = [image['file_name'] for image in images]
    given = [[image.get('width'), image.get('height')] for image in images]
    sizes = _numbers(given, 2)
    sizes = np.where(np.isfinite(sizes) & (sizes > 0) & (sizes < 1 << 31), sizes, 0).astype(int)
    if odd := [name for name, size in zip(names, sizes, strict=True) if not size.all()]:
        findings.append(Finding('mended', 'without a width or height: that of the file', odd, 'picture'))
    if odd := [name for name, size, own in zip(names, sizes.tolist(), given, strict=True) if size != own and all(size)]:
        findings.append(Finding('mended', 'whose size is not written in whole numbers', odd, 'picture'))
    annotations = _usable(content.get('annotations') or [], refused, findings)
    records = Records(classes, names, sizes, [None] * len(names), [file.name] * len(names), *_columns(annotations))
    records.picture_ids, records.class_ids = picture_ids, class_ids
    records.picture = _indices(annotations, 'image_id', picture_ids, findings)
    records.label = _indices(annotations, 'category_id', class_ids, findings)
    records.ids = [annotation.get('id', f'[{i}]') for i, annotation in enumerate(annotations)]
    _fill(records, annotations, findings)
    notes = [MADE_BY] if _description(content).startswith(MADE_BY) else []
    reading = Reading('COCO JSON', records, notes=notes, findings=findings)
    reading.parents = [category.get('supercategory') for category in content['categories']]
    return reading


def _description(content: dict[str, Any]) -> str:
    info = content.get('info')
    return str(info.get('description')) if isinstance(info, dict) else ''


def _scored(content: Any) -> bool:
    """Whether a JSON holds predictions: results for a server, or annotations with a score."""
    if isinstance(content, dict) and _description(content) == PREDICTIONS:
        return True
    entries = content.get('annotations') if isinstance(content, dict) else content
    return isinstance(entries, list) and any(isinstance(entry, dict) and 'score' in entry for entry in entries[:100])


def _check_lists(content: Any, file: Path, boxes: bool) -> None:
    if _scored(content):
        raise PredictionsError(f'{file} holds predictions (each has a score), which are no annotations')
    needed = _LISTS if boxes else ('images', 'categories')
    for key in needed:
        if not (isinstance(content, dict) and isinstance(content.get(key), list)):
            raise SeMmError(f'{file} is not COCO JSON: it has no list {key!r}; expected {", ".join(needed)}')
    for key, fields in (('images', ('id', 'file_name')), ('categories', ('id', 'name'))):
        if not content[key]:
            raise SeMmError(f'{file} is not COCO JSON of boxes: its list {key!r} is empty')
        for i, entry in enumerate(content[key]):
            missing = [name for name in fields if not isinstance(entry, dict) or name not in entry]
            if missing:
                raise SeMmError(f'{file} is not COCO JSON: {key}[{i}] lacks {", ".join(missing)}')
            if not is_id(entry['id']):
                raise SeMmError(f'{file}: the id of {key}[{i}] is {entry["id"]!r}; expected a number or a text')
    entries = [entry for entry in (content.get('annotations') or [])[:100] if isinstance(entry, dict)]
    if entries and boxes and not any({'bbox', 'segmentation'} & entry.keys() for entry in entries):
        raise SeMmError(f'{file} is COCO JSON without boxes: its annotations have {listed(sorted(entries[0]))}')


def _categories(categories: list[Entry], file: Path) -> tuple[list[Any], list[str]]:
    for category in categories:
        if not isinstance(category['name'], (str, int)) or isinstance(category['name'], bool):
            raise SeMmError(f'{file}: the name of category {category["id"]} is {category["name"]!r}; expected a text')
    ids = [category['id'] for category in categories]
    if twice := [value for value, count in Counter(ids).items() if count > 1]:
        raise SeMmError(f'{file}: {len(twice)} categories share the id {twice[0]!r}; each needs its own')
    return ids, [str(category['name']) for category in categories]


def drop_groupings(reading: Reading, wanted: Collection[str] = ()) -> None:
    """Takes out categories that only group others: they are a supercategory and have no box.

    Args:
        reading: of :func:`read`; changed in place.
        wanted: classes of a config, which stay; of two of one name that without a box goes.

    Raises:
        SeMmError: if categories with boxes share a name.
    """
    records, parents = reading.records, reading.parents
    counts = np.bincount(records.label[records.label >= 0], minlength=len(records.classes))
    names = records.classes
    groups = set()
    for i, name in enumerate(names):
        twice = names.count(name) > 1  # a class that is called as its group is its own supercategory
        over_others = any(name == parent for j, parent in enumerate(parents) if j != i)
        if not counts[i] and over_others and (parents[i] != name if twice else name not in wanted):
            groups.add(i)
    if groups and len(groups) < len(names):
        where = [f'{names[i]} (id {records.class_ids[i]})' for i in sorted(groups)]
        reading.findings.append(Finding('left out', 'that only groups others', where, 'category'))
        kept = [i for i in range(len(names)) if i not in groups]
        records.label = np.array([*(kept.index(i) if i in kept else -1 for i in range(len(names))), -1])[records.label]
        for name, values in (('classes', names), ('class_ids', records.class_ids)):
            setattr(records, name, [values[i] for i in kept])
        reading.parents = [parents[i] for i in kept]
    if twice := [name for name, count in Counter(records.classes).items() if count > 1]:
        raise SeMmError(f'{len(twice)} categories share the name {twice[0]!r}; each needs its own')


def _images(entries: list[Entry], findings: list[Finding]) -> tuple[list[Entry], set[Any]]:
    """The images that can be used, each once, and the ids of those that cannot."""
    by_id: dict[Any, Entry] = {}
    refused: dict[Any, list[str]] = {}
    repeated, odd = [], {}
    for entry in entries:
        name, other = entry['file_name'], by_id.setdefault(entry['id'], entry)
        if not isinstance(name, str) or not name or '\0' in name:
            odd[entry['id']] = f'image {name!r}'
        elif other is not entry and other['file_name'] != name:
            refused.setdefault(entry['id'], [f'image {other["file_name"]}']).append(f'image {name}')
        elif other is not entry:
            repeated.append(name)
    if odd:
        findings.append(Finding('left out', 'with a file_name that is no text', list(odd.values()), 'picture'))
    if names := [name for same in refused.values() for name in same]:
        findings.append(Finding('left out', 'with the id of another image', names, 'picture'))
    if repeated:
        findings.append(Finding('mended', 'listed twice: once', repeated, 'picture'))
    wrong = odd.keys() | refused.keys()
    return [entry for identity, entry in by_id.items() if identity not in wrong], wrong


def _usable(annotations: list[Any], refused: set[Any], findings: list[Finding]) -> list[Entry]:
    """Annotations without those that nothing can be made of."""
    kept, reasons = [], defaultdict(list)
    for i, entry in enumerate(annotations):
        given = entry if type(entry) is dict else {}
        missing = [key for key in ('image_id', 'category_id') if not is_id(given.get(key))]
        if not missing and given['image_id'] not in refused:
            kept.append(entry)
            continue
        why = 'of an image that is left out' if not missing else f'without {missing[0]}' if given else 'that is none'
        reasons[why].append(f'annotation {given.get("id", f"[{i}]")} of image {given.get("image_id")}')
    findings += [Finding('left out', why, names, 'annotation') for why, names in reasons.items()]
    return kept


def _columns(annotations: list[Entry]) -> Iterator[Any]:
    """Of :class:`Records`, from ``picture`` to ``area``; the first two are to be filled in."""
    count = len(annotations)
    yield from (np.zeros(count, int), np.zeros(count, int), _numbers([a.get('bbox') for a in annotations], 4))
    for key in ('iscrowd', 'ignore'):
        yield np.array([value not in (0, None, '0', False, '') for value in (a.get(key) for a in annotations)], bool)
    yield [annotation.get('segmentation') for annotation in annotations]
    yield _numbers([[annotation.get('area')] for annotation in annotations], 1)[:, 0]


def _indices(annotations: list[Entry], key: str, ids: Sequence[Any], findings: list[Finding]) -> np.ndarray:
    """Where the value of a key stands among ids; -1: nowhere. A number and its text are the same where one is meant."""
    known = {identity: i for i, identity in enumerate(ids)}
    found = np.fromiter((known.get(annotation[key], -1) for annotation in annotations), int, len(annotations))
    unknown = np.flatnonzero(found < 0)
    texts = [_text(identity) for identity in ids] if len(unknown) else []
    counts = Counter(texts)
    alike = {text: i for i, text in enumerate(texts) if counts[text] == 1}
    mended = [i for i in unknown if _text(annotations[i][key]) in alike]
    if mended:
        found[mended] = [alike[_text(annotations[i][key])] for i in mended]
        where = [f'annotation {annotations[i].get("id", f"[{i}]")}' for i in mended]
        findings.append(Finding('mended', f'whose {key} is written otherwise than the id', where, 'object'))
    return found


def _text(identity: Any) -> str:
    whole = _is_finite(identity) and identity == int(identity)
    return str(int(identity)) if whole else str(identity).strip()


def _fill(records: Records, annotations: list[Entry], findings: list[Finding]) -> None:
    """Computes what annotations leave out: the box, the area, the crowd, the id; and turns boxes."""

    def mended(what: str, hits: np.ndarray) -> None:
        if len(hits):
            findings.append(Finding('mended', what, [records.name(i) for i in hits]))

    readable = np.isfinite(records.boxes).all(1)
    texts = [i for i, a in enumerate(annotations) if type(a.get('bbox')) is list and str in map(type, a['bbox'])]
    mended('whose box is written as text', [i for i in texts if readable[i]])
    lacking = [i for i in np.flatnonzero(~readable) if not annotations[i].get('bbox') and box_of(records.masks[i])]
    for i in lacking:
        records.boxes[i] = box_of(records.masks[i])
    mended('without a box: that of its mask', lacking)
    if any('attributes' in annotation for annotation in annotations):
        turned = np.nan_to_num(_numbers([[_rotation(annotation)] for annotation in annotations], 1)[:, 0])
        records.turn(turned)
        mended('with a rotation: the upright box around it', np.flatnonzero(turned % 180 != 0))
    lacking = np.flatnonzero(~np.isfinite(records.area))
    records.area[lacking] = records.boxes[lacking, 2] * records.boxes[lacking, 3]
    mended('without an area: that of its box', lacking)
    mended('without iscrowd: 0', [i for i, a in enumerate(annotations) if type(a.get('iscrowd')) not in (int, bool)])
    mended('whose id is no positive number of its own: a new one', _number_anew(records))


def _number_anew(records: Records) -> list[int]:
    """Gives other ids to objects whose own are not: pycocotools keeps them as whole numbers, and 0 is none."""
    with contextlib.suppress(ValueError, OverflowError):
        ids = np.array(records.ids)
        if ids.dtype.kind == 'i' and (ids > 0).all() and len(np.unique(ids)) == len(ids):
            return []
    seen: set[Any] = set()
    again = []
    for i, identity in enumerate(records.ids):
        fits = _is_finite(identity) and identity > 0 and identity == int(identity)
        if not fits or identity in seen:
            again.append(i)
        else:
            seen.add(identity)
    for new, i in enumerate(again, 1 + int(max(seen, default=0))):
        records.ids[i] = new
    return again


def _rotation(annotation: Entry) -> Any:
    attributes = annotation.get('attributes')
    return attributes.get('rotation', 0) if isinstance(attributes, dict) else 0


def _numbers(values: list[Any], width: int) -> np.ndarray:
    """(N, width) float of lists of numbers, or of texts of numbers; not a number where one is something else."""
    with contextlib.suppress(ValueError, OverflowError):
        array = np.array(values)
        if array.dtype.kind in 'iuf' and array.shape == (len(values), width):
            return array.astype(float)
    rows = np.full((len(values), width), np.nan)
    for i, row in enumerate(values):
        if isinstance(row, list) and len(row) == width:
            rows[i] = [_number(value) for value in row]
    return rows


def _number(value: Any) -> float:
    try:
        return math.nan if isinstance(value, bool) or not isinstance(value, (int, float, str)) else float(value)
    except (ValueError, OverflowError):
        return math.nan


def is_id(value: Any) -> bool:
    """Whether COCO's tools can take a value as an id."""
    return type(value) in (int, str) or _is_finite(value)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(_number(value))


def content_of(records: Records, description: str) -> dict[str, Any]:
    """Records as the content of a COCO file; what has no id is counted from 1."""
    picture_ids = records.picture_ids or range(1, 1 + len(records.files))
    class_ids = records.class_ids or range(1, 1 + len(records.classes))
    columns = (records.picture, records.label, records.boxes, records.area, records.crowd, records.ignored)
    ids = records.ids or range(1, 1 + len(records.masks))
    rows = zip(ids, records.masks, *(column.tolist() for column in columns), strict=True)
    annotations = [
        {
            'id': identity,
            'image_id': picture_ids[picture],
            'category_id': class_ids[label],
            'bbox': box,
            'area': area,
            'iscrowd': int(crowd),
            **({'ignore': 1} if ignored else {}),
            **({'segmentation': mask} if mask else {}),
        }
        for identity, mask, picture, label, box, area, crowd, ignored in rows
    ]
    return {
        'info': {'description': description},
        'images': [
            {'id': identity, 'file_name': file, 'width': width, 'height': height}
            for identity, file, (width, height) in zip(picture_ids, records.files, records.sizes.tolist(), strict=True)
        ],
        'annotations': annotations,
        'categories': [{'id': i, 'name': name} for i, name in zip(class_ids, records.classes, strict=True)],
    }
