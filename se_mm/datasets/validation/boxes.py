"""Checks of a data set of boxes, in COCO's or Pascal VOC's format, before a training."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict

from ...config.load import DATA_ROOT_VARIABLE
from ...config.tree import nodes
from ...errors import SeMmError, listed
from ...utils.atomic import write_atomic
from ..annotations import checks, coco, voc
from ..annotations.pictures import PictureIndex, sizes_or_reasons
from ..annotations.records import Finding, Picture, Reading, Records
from ..annotations.remembered import remembered
from . import skipped

COCO_SOURCE = (
    'COCO 2017 is train2017.zip, val2017.zip and annotations_trainval2017.zip from '
    'https://cocodataset.org/#download, unpacked into that folder'
)
#: Pictures whose sizes are compared with their annotations before a training; all, where one differs.
SAMPLE = 64
#: COCO's metric counts so many detections of a class in a picture.
COUNTED = 100


def check_coco(cfg: Config, dataset_cfg: ConfigDict, dataset_class: type, split: str, copies: dict[str, str]) -> dict:
    """Reads an annotation file and compares it with the config and the pictures.

    Args:
        cfg: that the data set is a part of.
        dataset_cfg: of the data set.
        dataset_class: mmdet's ``CocoDataset``, or a class that reads as it does.
        split: ``'train'``, ``'val'`` or ``'test'``.
        copies: of annotation files that had to be mended; one is added where this has to.

    Returns:
        ``said`` (lines for the user), ``classes``, ``images`` and ``boxes`` (how many are left; of each class), and
        ``left_out`` (names and reasons).

    Raises:
        SeMmError: if it is not COCO JSON or has no usable box, classes do not match, too many
            pictures are absent, or some have another size than annotated.
    """
    ann_file, folder = _check_paths(dataset_cfg, dataset_class, split)
    masks = _needs_masks(cfg, split)
    config = {key: value for key, value in dataset_cfg.items() if key != 'pipeline'}
    kind = f'{dataset_class.__module__}.{dataset_class.__qualname__}'

    def find_out() -> dict[str, Any]:
        reading = coco.read(ann_file, boxes=not _writes_only(cfg, split))
        wanted = class_names(dataset_cfg, dataset_class)
        result = _inspect(cfg, reading, dataset_cfg, wanted, split, ann_file, folder, masks)
        if any(finding.outcome != 'kept' for finding in reading.findings):
            if str(ann_file) not in copies:
                copies[str(ann_file)] = _write_copy(ann_file, reading.records, split, cfg.work_dir)
                result['said'].insert(-1, f'{ann_file}: {copies[str(ann_file)]} is used in its place')
            result['volatile'] = True
        return result

    result = remembered(ann_file, [kind, split, masks, config], find_out)
    if result.get('remembered'):
        result['said'][-1] += ' (unchanged since it was checked)'
    if result['left_out']:
        with suppress(OSError):  # a work_dir that cannot be written to is refused later
            Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
            entries = [skipped.Skipped(split, 'annotation', *entry) for entry in result['left_out']]
            skipped.note(Path(cfg.work_dir, skipped.FILE), entries)
    return result


def _inspect(
    cfg: Config,
    reading: Reading,
    dataset_cfg: ConfigDict,
    wanted: Sequence[str],
    split: str,
    ann_file: Path,
    folder: Path,
    masks: bool,
) -> dict[str, Any]:
    """What :func:`check_coco` returns; ``reading`` is mended."""
    records, said = reading.records, []
    coco.drop_groupings(reading, wanted)
    said += _use_classes(reading, wanted, ann_file)
    absent, watched = _find_pictures(reading, folder, ann_file, dataset_cfg.get('data_root') or folder)
    filter_cfg = dataset_cfg.get('filter_cfg') or {}
    reading.findings += checks.leave_out(records, checks.MISREAD)
    if masks:
        reading.findings += checks.mend_masks(records, needed=True)
    unused = dict(checks.hits(records, checks.UNUSED))
    used = ~np.logical_or.reduce([np.zeros(len(records.masks), bool), *unused.values()])
    reasons = [str(finding) for finding in reading.findings if finding.outcome == 'left out']
    reasons += [f'{int(found.sum())} {check.what}' for check, found in unused.items()]
    if split == 'train' and not filter_cfg.get('filter_empty_gt') and not len(records.masks) and not reasons:
        said.append(f'{ann_file} has no boxes: its images are trained on as they are')
    elif not used.any() and not _writes_only(cfg, split):
        raise SeMmError(f'{ann_file} has no usable box: {"; ".join(reasons) or "no annotations at all"}')
    left_out = [(name, f.what) for f in reading.findings if f.outcome == 'left out' for name in f.where]
    normal = (checks.UNKNOWN_CLASS, checks.IGNORED)  # what a choice of classes leaves out, and what COCO itself has
    for check, found in unused.items():
        if split == 'train' and check not in normal:  # an evaluation counts the others as mmdet and pycocotools do
            names = [records.name(i) for i in np.flatnonzero(found)]
            said.append(f'{ann_file}: {Finding("left out", check.what, names)}')
            left_out += [(name, check.what) for name in names]
    said += [f'{ann_file}: {finding}' for finding in reading.findings]
    said += absent
    kept = np.ones(len(records.files), bool)
    if not dataset_cfg.get('test_mode'):
        least = filter_cfg.get('min_size', 0)
        kept = records.sizes.min(1) >= least
        if small := [file for file, large in zip(records.files, kept, strict=True) if not large]:
            said.append(
                f'{ann_file}: left out, with a side below {least} pixels (filter_cfg.min_size): {listed(small, 3)}'
            )
        if filter_cfg.get('filter_empty_gt'):
            kept &= np.bincount(records.picture[(records.label >= 0) & (records.picture >= 0)], minlength=len(kept)) > 0
    used &= np.append(kept, False)[records.picture]
    said += _crowded(cfg, records, used, split, ann_file)
    counts = np.bincount(records.label[used], minlength=len(records.classes)).tolist()
    if not kept.any():
        raise SeMmError(f'{split} data: nothing is left after filtering ({dataset_cfg.get("filter_cfg")})')
    each = listed([f'{name} {count}' for name, count in zip(wanted, counts, strict=True)], 5)
    said.append(f'{split}: {ann_file}: {kept.sum()} images, {sum(counts)} boxes, {len(wanted)} classes ({each})')
    return {'said': said, 'classes': list(wanted), 'left_out': left_out, 'watched': watched}


def _use_classes(reading: Reading, wanted: Sequence[str], ann_file: Path) -> list[str]:
    """Labels count the classes of the config from here on; its other categories have none.

    mmdet numbers the labels in the order of the file's categories and names them in the order of the config's.
    """
    records = reading.records
    missing = [name for name in wanted if name not in records.classes]
    if missing:
        names = records.classes
        raise SeMmError(
            f"{ann_file}: the config's classes {listed(missing, 5)} are not among its {len(names)} categories "
            f'({listed(names, 5)}); take those with --classes {" ".join(map(shlex.quote, names[:10]))}'
            f'{" ..." if len(names) > 10 else ""} (--classes alone takes all of the file)'
        )
    order = [name for name in records.classes if name in wanted]
    if order != list(wanted):
        where = [f'{listed(order, 5)}']
        what = f'in another order than the classes, {listed(wanted, 5)}: listed in theirs'
        reading.findings.append(Finding('mended', what, where, 'list of categories'))
    others = [name for name in records.classes if name not in wanted]
    places = np.array([*(wanted.index(name) if name in wanted else -1 for name in records.classes), -1])
    records.class_ids = [records.class_ids[records.classes.index(name)] for name in wanted]
    records.label, records.classes = places[records.label], list(wanted)
    return [f'{ann_file}: boxes of {len(others)} other categories are left out ({listed(others, 5)})'] if others else []


def _find_pictures(reading: Reading, folder: Path, ann_file: Path, root: Any) -> tuple[list[str], list[list[Any]]]:
    """Looks for the pictures, mends their names, merges those that are one, and compares sizes.

    Returns:
        A line on those that are absent, if any, and the folders and files whose times the result depends on.
    """
    records = reading.records
    index = PictureIndex(folder)
    absent, other = [], []
    for i, name in enumerate(records.files):
        if name in index.real or (folder / name).is_file():
            continue
        found = index.find(name, '')
        if found is None:
            absent.append(i)
        else:
            other.append(name)
            records.files[i] = found
    how = f'se-mm prepare-data detection {shlex.quote(str(root).rstrip("/"))}'
    if other:
        reading.findings.append(Finding('mended', 'at another path than is said: found by the name', other, 'picture'))
    lines = []
    if absent:
        names = [records.files[i] for i in absent]
        what = f'{ann_file} names {len(records.files)} images, of which {len(absent)} are not in {folder.absolute()}'
        if len(absent) > checks.MOST_BROKEN * len(records.files):
            advice = f'{how} --skip-missing leaves them out' if len(absent) < len(records.files) else 'put them there'
            raise SeMmError(f'{what}: {listed(names, 3)}; {advice}')
        lines.append(f'{what}: {listed(names, 3)}; in the training others take their place')
    there = np.ones(len(records.files), bool)
    there[absent] = False
    without = [i for i in np.flatnonzero((records.sizes == 0).any(1)) if there[i]]
    sizes = sizes_or_reasons(folder, [records.files[i] for i in without])
    unreadable = [i for i, size in zip(without, sizes, strict=True) if isinstance(size, str)]
    for i, size in zip(without, sizes, strict=True):
        if not isinstance(size, str):
            records.sizes[i] = size.decoded
    unreadable += [i for i in np.flatnonzero((records.sizes == 0).any(1)) if not there[i]]
    if unreadable:
        names = [records.files[i] for i in unreadable]
        reading.findings.append(Finding('left out', 'without a size, and none can be read', names, 'picture'))
        there = np.delete(there, unreadable)
        records.take_pictures(np.delete(np.arange(len(records.files)), unreadable))
    reading.findings += records.merge([index.real.get(name, name) for name in map(os.path.normpath, records.files)])
    some = records.files[:: max(1, len(records.files) // SAMPLE)]
    _compare_sizes(records, folder, [file for file in some if (folder / file).exists()], how)
    watched = [folder / file for file in {*some, *map(os.path.dirname, records.files)}]
    return lines, [[str(path), path.stat().st_mtime_ns] for path in watched if path.exists()]


def _compare_sizes(records: Records, folder: Path, files: Sequence[str], how: str) -> None:
    """Compares some pictures with their annotated sizes, and all of them where one differs."""
    places = {file: i for i, file in enumerate(records.files)}

    def compare(files: Sequence[str]) -> None:
        sizes = sizes_or_reasons(folder, files)
        part = Records.of([Picture(file, size=tuple(records.sizes[places[file]].tolist())) for file in files])
        checks.compare_sizes(part, sizes, how=f'{how} ')

    try:
        compare(files)
    except SeMmError:
        try:
            compare([file for file in records.files if (folder / file).is_file()])
        except SeMmError as error:
            raise SeMmError(f'{folder}: {error}') from error


def _crowded(cfg: Config, records: Records, used: np.ndarray, split: str, ann_file: Path) -> list[str]:
    """A line on pictures with more objects than the metric, or the detector, counts."""
    if split == 'train' or not used.any():
        return []
    each = np.bincount(records.picture[used])
    of_class = np.unique(np.stack([records.picture[used], records.label[used]]), axis=1, return_counts=True)[1]
    limits = [node['max_per_img'] for _, node in nodes(cfg.get('model')) if isinstance(node.get('max_per_img'), int)]
    most, lines = min(limits, default=each.max()), []
    if of_class.max() > COUNTED:
        lines.append(
            f'{ann_file}: {int((of_class > COUNTED).sum())} times a picture has more than {COUNTED} objects of a class '
            f"({of_class.max()} at the most); COCO's mAP counts {COUNTED}, so that perfect boxes do not reach 1"
        )
    if each.max() > most:
        lines.append(
            f'{ann_file}: {int((each > most).sum())} pictures have more than {most} objects ({each.max()} at the '
            f"most); the model's test_cfg keeps {most} boxes (max_per_img)"
        )
    return lines


def _check_paths(dataset_cfg: ConfigDict, dataset_class: type, split: str) -> tuple[Path, Path]:
    """The annotation file and the folder of the images.

    Raises:
        SeMmError: if one of them does not exist.
    """
    root = dataset_cfg.get('data_root', '')
    ann_file = ann_file_of(dataset_cfg)
    is_coco_itself = dataset_class.__name__ == 'CocoDataset' and 'classes' not in dataset_cfg.get('metainfo', {})
    how = f'{COCO_SOURCE}, ' if is_coco_itself else ''
    how = f'{how or "put it there, "}or name another folder with --data-root or {DATA_ROOT_VARIABLE}'
    if root and not Path(root).is_dir():
        raise SeMmError(f'{split} data: folder {Path(root).absolute()} does not exist; {how}')
    if not ann_file.is_file():
        raise SeMmError(f'{split} data: annotation file {ann_file.absolute()} does not exist; {how}')
    images = Path(root or '', dataset_cfg.get('data_prefix', {}).get('img') or '')
    if not images.is_dir():
        raise SeMmError(f'{split} data: image folder {images.absolute()} does not exist; {how}')
    return ann_file, images


def _needs_masks(cfg: Config, split: str) -> bool:
    metrics = [node.get('metric') for _, node in nodes(cfg.get(f'{split}_evaluator'))]
    counted = any('segm' in (metric if isinstance(metric, (list, tuple)) else [metric]) for metric in metrics)
    return counted or any(node.get('with_mask') for _, node in nodes(cfg.get(f'{split}_dataloader')))


def _writes_only(cfg: Config, split: str) -> bool:
    """Whether a test writes results for a server that has the annotations."""
    given = cfg.get('test_evaluator')
    evaluators = given if isinstance(given, (list, tuple)) else [given]
    return split == 'test' and all(isinstance(one, dict) and one.get('format_only') for one in evaluators)


def _write_copy(ann_file: Path, records: Records, split: str, work_dir: str) -> str:
    """Writes mended annotations into the work_dir and returns the path."""
    digest = hashlib.sha256(str(ann_file.absolute()).encode()).hexdigest()[:8]  # many sets name their files alike
    path = Path(work_dir, 'annotations', f'{split}_{digest}_{ann_file.name}').absolute()
    records.keep_objects((records.picture >= 0) & (records.label >= 0))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(coco.content_of(records, f'mended from {ann_file.absolute()}')))
    except OSError as error:
        raise SeMmError(f'work_dir {work_dir} cannot be written to: {error.strerror}') from error
    return str(path)


def use_copies(cfg: Config, copies: Mapping[str, str]) -> None:
    """Replaces annotation files in the data sets and in the evaluators, which name the file by themselves."""
    for _, node in nodes(cfg._cfg_dict):
        if isinstance(node.get('ann_file'), str):
            node['ann_file'] = copies.get(str(ann_file_of(node)), node['ann_file'])


def ann_file_of(dataset_cfg: Mapping[str, Any]) -> Path:
    """The annotation file, relative to the working directory or absolute."""
    return Path(dataset_cfg.get('data_root') or '', dataset_cfg.get('ann_file') or '')


def class_names(dataset_cfg: Mapping[str, Any], dataset_class: type) -> tuple[str, ...]:
    """The classes that the config trains."""
    names = dataset_cfg.get('metainfo', {}).get('classes', dataset_class.METAINFO.get('classes', ()))
    if isinstance(names, str):
        raise SeMmError(f'metainfo.classes is the text {names!r}; expected a tuple of names, as in ({names!r},)')
    return tuple(names)


def check_voc(dataset_cfg: Mapping[str, Any], split: str) -> list[str]:
    """Reads the XML files that mmdet's ``XMLDataset`` will, and compares them with the pictures.

    Returns:
        What the user should know.

    Raises:
        SeMmError: if some cannot be read, or pictures have another size than annotated.
    """
    ann_file = ann_file_of(dataset_cfg)
    prefix = dataset_cfg.get('data_prefix') or {}
    folder = Path(dataset_cfg.get('data_root') or '', prefix.get('sub_data_root') or '')
    if not ann_file.is_file():
        return []  # said where it is read
    annotations, images = dataset_cfg.get('ann_subdir', 'Annotations'), dataset_cfg.get('img_subdir', 'JPEGImages')
    pictures, broken = [], []
    names = [line.strip() for line in ann_file.read_text().splitlines() if line.strip()]
    for name in names:
        file = folder / annotations / f'{name}.xml'
        try:
            _, size, objects = voc.parse(file)
            pictures.append(Picture(f'{images}/{name}.jpg', objects, split, size, str(file)))
        except ValueError as error:
            broken.append(f'{file.name} {error}')
    how = f'se-mm prepare-data detection {shlex.quote(str(dataset_cfg.get("data_root") or folder).rstrip("/"))}'
    if broken:
        raise SeMmError(
            f'{len(broken)} of {len(names)} XML files in {folder / annotations} cannot be read: {listed(broken, 5)}; '
            f'remove them from {ann_file}, fetch them again, or leave them out with {how}'
        )
    records = Records.of(pictures)
    sized = [p.file for p in pictures if p.size != (0, 0) and (folder / p.file).is_file()]
    _compare_sizes(records, folder, sized[:: max(1, len(sized) // SAMPLE)], how)
    found = [
        Finding('kept', check.what, [records.name(i) for i in np.flatnonzero(hit)])
        for check, hit in checks.hits(records, checks.MISREAD)
    ]
    return [f'{folder}: {finding}; {how} leaves them out' for finding in found]
