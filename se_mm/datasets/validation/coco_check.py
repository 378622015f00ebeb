"""Checks of a data set in COCO's format before a training."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ...config.load import DATA_ROOT_VARIABLE
from ...config.tree import nodes
from ...errors import SeMmError, listed
from ...utils.atomic import write_atomic
from . import coco_json, skipped

COCO_SOURCE = (
    'COCO 2017 is train2017.zip, val2017.zip and annotations_trainval2017.zip from '
    'https://cocodataset.org/#download, unpacked into that folder'
)
#: What COCO itself has, and what a choice of classes leaves out.
NORMAL = (coco_json.IGNORED, coco_json.UNKNOWN_CATEGORY)
#: The share of the images that may be missing.
MOST_ABSENT = 0.1


def check_paths(dataset_cfg: ConfigDict, dataset_class: type, split: str) -> tuple[Path, Path]:
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
    images = _join(root, dataset_cfg.get('data_prefix', {}).get('img', ''))
    if not images.is_dir():
        raise SeMmError(f'{split} data: image folder {images.absolute()} does not exist; {how}')
    return ann_file, images


def check(dataset_cfg: ConfigDict, dataset_class: type, split: str) -> coco_json.Inspection:
    """Reads the annotation file and compares it with the config and the images.

    Raises:
        SeMmError: if it is not COCO JSON or has no usable box, classes do not match, or too many
            images are absent.
    """
    ann_file, images = check_paths(dataset_cfg, dataset_class, split)
    content = coco_json.read(ann_file)
    _check_classes(content, dataset_cfg, dataset_class, ann_file)
    wanted = class_names(dataset_cfg, dataset_class)
    inspection = coco_json.inspect(content, {entry['id'] for entry in content['categories'] if entry['name'] in wanted})
    inspection.repaired |= not coco_json.is_plain_utf8(ann_file)
    unknown = sum(reason == coco_json.UNKNOWN_IMAGE for _, reason in inspection.left_out)
    may_be_empty = split == 'train' and not (dataset_cfg.get('filter_cfg') or {}).get('filter_empty_gt')
    if may_be_empty and not content['annotations']:
        print(f'{ann_file} has no boxes: its images are trained on as they are')
    elif not inspection.usable or unknown == len(inspection.content['annotations']):
        raise SeMmError(f'{ann_file} has no usable box: {inspection.reasons() or "no annotations at all"}')
    _check_images(inspection.content, images, ann_file)
    least = (dataset_cfg.get('filter_cfg') or {}).get('min_size', 0)
    sides = {image['file_name']: min(image['width'], image['height']) for image in inspection.content['images']}
    small = [name for name, side in sides.items() if side < least and not dataset_cfg.get('test_mode')]
    if small:
        print(f'{ann_file}: left out, with a side below {least} pixels (filter_cfg.min_size): {listed(small, 3)}')
    return inspection


def left_out(inspection: coco_json.Inspection, split: str) -> list[tuple[str, str]]:
    """The annotations to report as left out, with the reason."""
    entries = list(inspection.taken_out)
    if split == 'train':  # an evaluation counts the others as mmdet and pycocotools do
        entries += [entry for entry in inspection.left_out if entry[1] not in NORMAL]
    return entries


def summary(entries: Sequence[Sequence[str]]) -> str:
    """Entries of :func:`left_out` by reason, with a few names of each."""
    counts = Counter(reason for _, reason in entries)
    examples = {reason: [name for name, why in entries if why == reason] for reason in counts}
    return '; '.join(f'{counts[reason]} {reason} ({listed(names, 3)})' for reason, names in examples.items())


def note(entries: Sequence[Sequence[str]], split: str, work_dir: str) -> None:
    """Adds entries of :func:`left_out` to the report in the work_dir."""
    with suppress(OSError):  # a work_dir that cannot be written to is refused later
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        skipped.note(Path(work_dir, skipped.FILE), [skipped.Skipped(split, 'annotation', *entry) for entry in entries])


def write_repaired(ann_file: Path, inspection: coco_json.Inspection, split: str, work_dir: str) -> str:
    """Writes the repaired annotations into the work_dir and returns the path."""
    digest = hashlib.sha256(str(ann_file.absolute()).encode()).hexdigest()[:8]  # many sets name their files alike
    path = Path(work_dir, 'annotations', f'{split}_{digest}_{ann_file.name}').absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(inspection.content))
    except OSError as error:
        raise SeMmError(f'work_dir {work_dir} cannot be written to: {error.strerror}') from error
    print(f'{ann_file}: {path} is used in its place')
    return str(path)


def use_repaired(cfg: Config, repaired: dict[str, str]) -> None:
    """Replaces annotation files in the data sets and in the evaluators, which name the file by themselves."""
    for _, node in nodes(cfg._cfg_dict):
        if isinstance(node.get('ann_file'), str):
            file = str(ann_file_of(node))
            node['ann_file'] = repaired.get(file, node['ann_file'])


def ann_file_of(dataset_cfg: ConfigDict) -> Path:
    """The annotation file, relative to the working directory or absolute."""
    return _join(dataset_cfg.get('data_root', ''), dataset_cfg.get('ann_file', ''))


def _join(root: str, path: str) -> Path:
    return Path(root or '', path or '')


def class_names(dataset_cfg: ConfigDict, dataset_class: type) -> tuple[str, ...]:
    """The classes that the config trains."""
    names = dataset_cfg.get('metainfo', {}).get('classes', dataset_class.METAINFO.get('classes', ()))
    if isinstance(names, str):
        raise SeMmError(f'metainfo.classes is the text {names!r}; expected a tuple of names, as in ({names!r},)')
    return tuple(names)


def _check_classes(
    content: dict[str, list[dict[str, Any]]], dataset_cfg: ConfigDict, dataset_class: type, ann_file: Path
) -> None:
    wanted = class_names(dataset_cfg, dataset_class)
    in_file = [category['name'] for category in content['categories']]
    missing = [name for name in wanted if name not in in_file]
    if missing:
        raise SeMmError(
            f"{ann_file}: the config's classes {listed(missing, 5)} are not among its {len(in_file)} categories "
            f'({listed(in_file, 5)}); take those with --classes {" ".join(map(shlex.quote, in_file[:10]))}'
            f'{" ..." if len(in_file) > 10 else ""} (--classes alone takes all of the file)'
        )
    # mmdet numbers the labels in the order of the file's categories and names them in the order of the config's.
    order = tuple(name for name in in_file if name in wanted)
    if order != wanted:
        raise SeMmError(
            f"{ann_file}: its categories stand in another order than the config's classes, and mmdet would give the "
            f'boxes the wrong names; name them in its order: --classes {" ".join(map(shlex.quote, order))}'
        )
    ignored = [name for name in in_file if name not in wanted]
    if ignored:
        print(f'{ann_file}: boxes of {len(ignored)} other categories are left out ({listed(ignored, 5)})')


def _check_images(content: dict[str, list[dict[str, Any]]], folder: Path, ann_file: Path) -> None:
    if not content['images']:
        raise SeMmError(f'{ann_file} lists no image')
    present = {entry.name for entry in os.scandir(folder)}
    absent = [
        name
        for name in (image['file_name'] for image in content['images'])
        if name not in present and not (folder / name).is_file()
    ]
    if not absent:
        return
    count = len(content['images'])
    what = (
        f'{ann_file} names {count} images, of which {len(absent)} are not in {folder.absolute()}: {listed(absent, 3)}'
    )
    if len(absent) > MOST_ABSENT * count:
        raise SeMmError(what)
    print(f'{what}; in the training others take their place')
