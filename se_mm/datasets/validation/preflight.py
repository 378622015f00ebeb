"""Looks at the data before anything trains on it, and refuses what could only end badly."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.registry import DATASETS

from ...config.load import DATA_ROOT_VARIABLE, datasets_of
from ...config.tree import nodes
from ...errors import USER_ERROR, SeMmError
from ...utils.atomic import write_whole
from . import coco_json, skipped

COCO_SOURCE = (
    'COCO 2017 is train2017.zip, val2017.zip and annotations_trainval2017.zip from '
    'https://cocodataset.org/#download, unpacked into that folder'
)
#: What COCO itself has, and what a choice of classes leaves out.
NORMAL = (coco_json.IGNORED, coco_json.UNKNOWN_CATEGORY)
#: The share of the images that may be missing.
MOST_ABSENT = 0.1
CLASS_HEADS = ('bbox_head', 'mask_head', 'head')


def check(cfg: Config, splits: Sequence[str]) -> None:
    """Reads the data of the splits and prints what is left of each after filtering.

    Args:
        cfg: a config to run.
        splits: of ``'train'``, ``'val'`` and ``'test'``; one that the config lacks is passed over.

    Raises:
        SeMmError: for a missing folder or file, an annotation file that is not COCO JSON or has
            no usable box, classes that do not match, images that are named but absent, a split
            that is empty, or heads with another number of classes than the data.

    COCO files of which something cannot be read right are replaced in the config by copies without
    it, in ``work_dir/annotations``; what was left out is noted in ``work_dir/skipped_data.jsonl``.
    """
    outcome: list[Any] = [None, {}]
    if is_main_process():
        try:
            if not cfg.get('resume'):
                with contextlib.suppress(OSError):
                    skipped.forget(Path(cfg.work_dir, skipped.FILE), splits)
            _check(cfg, splits, outcome[1])
        except SeMmError as error:
            outcome[0] = error
    broadcast_object_list(outcome)
    error, mended = outcome
    if error and not is_main_process():
        sys.exit(USER_ERROR)  # the main process says it
    if error:
        raise error
    if mended:
        _use_mended(cfg, mended)


def _check(cfg: Config, splits: Sequence[str], mended: dict[str, str]) -> None:
    described = set()
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        for dataset_cfg in datasets_of(loader) if loader else ():
            dataset_class = _dataset_class(cfg, dataset_cfg)
            if _reads_coco_json(dataset_class) and not (split == 'test' and _writes_only(cfg.get('test_evaluator'))):
                inspection = _check_coco(dataset_cfg, dataset_class, split)
                file = _ann_file(dataset_cfg)
                if str(file) not in mended:
                    _say_what_is_left_out(file, inspection, split, cfg.work_dir)
                if inspection.repaired:
                    mended[str(file)] = _write_mended(file, inspection, split, cfg.work_dir)
                    dataset_cfg = copy.deepcopy(dataset_cfg)
                    dataset_cfg.ann_file = mended[str(file)]
            dataset = _build_unserialized(cfg, dataset_cfg, split)
            classes = tuple(dataset.metainfo.get('classes') or ())
            _check_heads(cfg.model, classes, split)
            line = f'{split}: {_describe(dataset, dataset_cfg, classes)}'
            if line not in described:
                described.add(line)
                print(line)


def _dataset_class(cfg: Config, dataset_cfg: ConfigDict) -> type:
    scope = dataset_cfg.get('_scope_', cfg.get('default_scope'))
    with DATASETS.switch_scope_and_registry(scope) as registry:
        found = registry.get(dataset_cfg.type) if isinstance(dataset_cfg.type, str) else dataset_cfg.type
    if found is None:
        raise SeMmError(
            f'dataset type {dataset_cfg.type!r} is not in the registry of scope {scope!r}; '
            'check the name, or run tools/check_env.py for a broken import'
        )
    return found


def _reads_coco_json(dataset_class: type) -> bool:
    from mmdet.datasets import CocoDataset

    return getattr(dataset_class, 'load_data_list', None) is CocoDataset.load_data_list


def _join(root: str, path: str) -> Path:
    return Path(root or '', path or '')


def _check_coco(dataset_cfg: ConfigDict, dataset_class: type, split: str) -> coco_json.Inspection:
    root = dataset_cfg.get('data_root', '')
    ann_file = _ann_file(dataset_cfg)
    is_coco_itself = dataset_class.__name__ == 'CocoDataset' and 'classes' not in dataset_cfg.get('metainfo', {})
    how = f'{COCO_SOURCE}, ' if is_coco_itself else ''
    how = f'{how}or name another folder with --data-root or {DATA_ROOT_VARIABLE}'
    if root and not Path(root).is_dir():
        raise SeMmError(f'{split} data: folder {Path(root).absolute()} does not exist; {how}')
    if not ann_file.is_file():
        raise SeMmError(f'{split} data: annotation file {ann_file.absolute()} does not exist; {how}')
    images = _join(root, dataset_cfg.get('data_prefix', {}).get('img', ''))
    if not images.is_dir():
        raise SeMmError(f'{split} data: image folder {images.absolute()} does not exist; {how}')

    content = coco_json.read(ann_file)
    _check_classes(content, dataset_cfg, dataset_class, ann_file)
    wanted = _class_names(dataset_cfg, dataset_class)
    inspection = coco_json.inspect(content, {entry['id'] for entry in content['categories'] if entry['name'] in wanted})
    unknown = sum(reason == coco_json.UNKNOWN_IMAGE for _, reason in inspection.left_out)
    may_be_empty = split == 'train' and not (dataset_cfg.get('filter_cfg') or {}).get('filter_empty_gt')
    if may_be_empty and not content['annotations']:
        print(f'{ann_file} has no boxes: its images are trained on as they are')
    elif not inspection.usable or unknown == len(inspection.content['annotations']):
        raise SeMmError(f'{ann_file} has no usable box: {inspection.reasons() or "no annotations at all"}')
    _check_images(inspection.content, images, ann_file)
    return inspection


def _writes_only(evaluators: Any) -> bool:
    """Whether a test writes results for a server that has the annotations."""
    evaluators = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    return all(isinstance(evaluator, dict) and evaluator.get('format_only') for evaluator in evaluators)


def _ann_file(dataset_cfg: ConfigDict) -> Path:
    return _join(dataset_cfg.get('data_root', ''), dataset_cfg.get('ann_file', ''))


def _say_what_is_left_out(ann_file: Path, inspection: coco_json.Inspection, split: str, work_dir: str) -> None:
    left_out = [*inspection.taken_out]
    if split == 'train':  # an evaluation counts them as mmdet and pycocotools do
        left_out += [entry for entry in inspection.left_out if entry[1] not in NORMAL]
    if left_out:
        counts = Counter(reason for _, reason in left_out)
        examples = {reason: [name for name, why in left_out if why == reason] for reason in counts}
        what = '; '.join(f'{counts[reason]} {reason} ({_few(names, 3)})' for reason, names in examples.items())
        print(f'{ann_file}: left out of {split}: {what}')
        with contextlib.suppress(OSError):  # a work_dir that cannot be written to is refused later
            Path(work_dir).mkdir(parents=True, exist_ok=True)
            skipped.note(
                Path(work_dir, skipped.FILE), [skipped.Skipped(split, 'annotation', *entry) for entry in left_out]
            )


def _write_mended(ann_file: Path, inspection: coco_json.Inspection, split: str, work_dir: str) -> str:
    digest = hashlib.sha256(str(ann_file.absolute()).encode()).hexdigest()[:8]  # many sets name their files alike
    path = Path(work_dir, 'annotations', f'{split}_{digest}_{ann_file.name}').absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(inspection.content))
    except OSError as error:
        raise SeMmError(f'work_dir {work_dir} cannot be written to: {error.strerror}') from error
    print(f'{ann_file}: {path} is used in its place')
    return str(path)


def _use_mended(cfg: Config, mended: dict[str, str]) -> None:
    """In the data sets and in the evaluators, which name the file by themselves."""
    for _, node in nodes(cfg._cfg_dict):
        if isinstance(node.get('ann_file'), str):
            file = str(_ann_file(node))
            node['ann_file'] = mended.get(file, node['ann_file'])


def _class_names(dataset_cfg: ConfigDict, dataset_class: type) -> tuple[str, ...]:
    names = dataset_cfg.get('metainfo', {}).get('classes', dataset_class.METAINFO.get('classes', ()))
    if isinstance(names, str):
        raise SeMmError(f'metainfo.classes is the text {names!r}; expected a tuple of names, as in ({names!r},)')
    return tuple(names)


def _check_classes(
    content: dict[str, list[dict[str, Any]]], dataset_cfg: ConfigDict, dataset_class: type, ann_file: Path
) -> None:
    wanted = _class_names(dataset_cfg, dataset_class)
    in_file = [category['name'] for category in content['categories']]
    missing = [name for name in wanted if name not in in_file]
    if missing:
        raise SeMmError(
            f"{ann_file}: the config's classes {_few(missing)} are not among its {len(in_file)} categories "
            f'({_few(in_file)}); set metainfo=dict(classes=(...)) of the data sets, and num_classes of the heads'
        )
    # mmdet numbers the labels in the order of the file's categories and names them in the order of the config's.
    order = tuple(name for name in in_file if name in wanted)
    if order != wanted:
        raise SeMmError(
            f"{ann_file}: its categories stand in another order than the config's classes, and mmdet would give the "
            f'boxes the wrong names; write metainfo=dict(classes={order!r})'
        )
    ignored = [name for name in in_file if name not in wanted]
    if ignored:
        print(f'{ann_file}: boxes of {len(ignored)} other categories are left out ({_few(ignored)})')


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
    what = f'{ann_file} names {count} images, of which {len(absent)} are not in {folder.absolute()}: {_few(absent, 3)}'
    if len(absent) > MOST_ABSENT * count:
        raise SeMmError(what)
    print(f'{what}; in the training others take their place')


def _build_unserialized(cfg: Config, dataset_cfg: ConfigDict, split: str) -> Any:
    dataset_cfg = copy.deepcopy(dataset_cfg)
    dataset_cfg.update(pipeline=[], serialize_data=False, lazy_init=False)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        try:
            with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
                dataset = registry.build(dataset_cfg)
            dataset.full_init()
        except SeMmError:
            raise
        except (AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            hint = ' --classes takes the names of the folders.' if 'subfolders' in str(error) else ''
            raise SeMmError(f'{split} data ({dataset_cfg.type}) cannot be read: {error}{hint}') from error
    _check_folders_of_classes(dataset, split)
    if not len(dataset):
        raise SeMmError(f'{split} data: nothing is left after filtering ({dataset_cfg.get("filter_cfg")})')
    some = [dataset.get_data_info(i).get('img_path') for i in (0, len(dataset) // 2, len(dataset) - 1)]
    if all(isinstance(path, str) and '://' not in path and not Path(path).is_file() for path in some):
        raise SeMmError(f'{split} data: the images that are named are not there: {_few(some)}')
    return dataset


def _check_folders_of_classes(dataset: Any, split: str) -> None:
    """mmpretrain numbers the folders in their own order and names them in the config's, and asks only for as many."""
    folders = tuple(getattr(dataset, 'folder_to_idx', ()))
    classes = tuple(dataset.metainfo.get('classes') or ())
    if folders and folders != classes and all(len(name) == 1 for name in folders):
        raise SeMmError(
            f'{split} data: {dataset.img_prefix} holds letters ({_few(folders)}), not classes; the official form of '
            "Places365 is read by type='se_mm.Places365'"
        )
    named_by_config = type(dataset).__name__ == 'CustomDataset'  # ImageNet and others know what their folders are
    if folders and named_by_config and folders != classes:
        raise SeMmError(
            f'{split} data: the folders of {dataset.img_prefix} ({_few(folders)}) are not the classes of the config '
            f'({_few(classes)}) in the same order; --classes takes the names of the folders'
        )


def _describe(dataset: Any, dataset_cfg: ConfigDict, classes: Sequence[str]) -> str:
    source = _join(dataset_cfg.get('data_root', ''), dataset_cfg.get('ann_file', ''))
    labels = Counter(_labels(dataset))
    kind = 'boxes' if 'instances' in dataset.get_data_info(0) else 'labels'
    counts = _few([f'{name} {labels[i]}' for i, name in enumerate(classes)])
    return f'{source}: {len(dataset)} images, {sum(labels.values())} {kind}, {len(classes)} classes ({counts})'


def _labels(dataset: Any) -> Iterator[int]:
    if not hasattr(dataset, 'data_list') or not dataset.data_list:
        yield from map(int, dataset.get_gt_labels() if 'gt_label' in dataset.get_data_info(0) else ())
        return
    for info in dataset.data_list:
        if 'instances' in info:
            yield from (box['bbox_label'] for box in info['instances'] if not box.get('ignore_flag'))
        elif 'gt_label' in info:
            yield int(info['gt_label'])


def _check_heads(model: Any, classes: Sequence[str], split: str) -> None:
    if 'language_model' in model:
        return  # it names its classes in words
    for where, num_classes in _head_classes(model, 'model'):
        if classes and num_classes != len(classes):
            raise SeMmError(
                f'{where}.num_classes is {num_classes}, but the {split} data have {len(classes)} classes '
                f'({_few(classes)}); set {where}.num_classes={len(classes)}'
            )


def _head_classes(node: Any, path: str, inside_head: bool = False) -> Iterator[tuple[str, int]]:
    if isinstance(node, (list, tuple)):
        for i, item in enumerate(node):
            yield from _head_classes(item, f'{path}.{i}', inside_head)
    elif isinstance(node, dict):
        if inside_head and isinstance(node.get('num_classes'), int):
            yield path, node['num_classes']
        for key, value in node.items():
            yield from _head_classes(value, f'{path}.{key}', key in CLASS_HEADS)


def _few(names: Sequence[str], most: int = 5) -> str:
    shown = ', '.join(str(name) for name in names[:most])
    return shown if len(names) <= most else f'{shown}, ... {len(names) - most} more'
