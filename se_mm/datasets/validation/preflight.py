"""Checks the data and the classes of a config before anything trains on it."""

from __future__ import annotations

import copy
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest import mock
from xml.etree import ElementTree

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from ...config.loaders import datasets_of
from ...config.tree import dotted, nodes
from ...errors import SeMmError, listed
from ...utils.processes import of_main_process
from . import check_results, coco_check, skipped, voc_check

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

    COCO files with unusable entries are replaced in the config by repaired copies in
    ``work_dir/annotations``; what was left out is noted in ``work_dir/skipped_data.jsonl``. A large
    COCO file that needed no repair is not read again until it changes (:mod:`.check_results`).
    """
    repaired = of_main_process(lambda: _check(cfg, splits))
    if repaired:
        coco_check.use_repaired(cfg, repaired)


def _check(cfg: Config, splits: Sequence[str]) -> dict[str, str]:
    """The annotation files that were repaired, and their copies."""
    if not cfg.get('resume'):
        with suppress(OSError):
            skipped.forget(Path(cfg.work_dir, skipped.FILE), splits)
    repaired: dict[str, str] = {}
    said: set[str] = set()
    for split in splits:
        for dataset_cfg in datasets_of(cfg.get(f'{split}_dataloader')):
            dataset_class = _dataset_class(cfg, dataset_cfg)
            if isinstance(dataset_class, type) and not issubclass(dataset_class, BaseDataset):
                print(f'{split}: {dataset_class.__name__} is no data set of mmengine and is not checked')
                continue
            writes_only = split == 'test' and _writes_only(cfg.get('test_evaluator'))
            if _reads_coco_json(dataset_class) and not writes_only:
                result = _check_coco(cfg, dataset_cfg, dataset_class, split, repaired)
            else:
                result = _check_dataset(cfg, dataset_cfg, split)
            _check_heads(cfg.model, result.classes, split)
            if result.said not in said:
                said.add(result.said)
                print(result.said)
    return repaired


def _check_coco(
    cfg: Config, dataset_cfg: ConfigDict, dataset_class: type, split: str, repaired: dict[str, str]
) -> check_results.CheckResult:
    ann_file, images = coco_check.check_paths(dataset_cfg, dataset_class, split)
    kind = f'{dataset_class.__module__}.{dataset_class.__qualname__}'
    cache = check_results.cache_file(ann_file, images, dataset_cfg, kind, split)
    result = check_results.load(cache)
    if result is None:
        with redirect_stdout(io.StringIO()) as said:
            inspection = coco_check.check(dataset_cfg, dataset_class, split)
        left_out = coco_check.left_out(inspection, split)
        if left_out:
            said.write(f'{ann_file}: left out of {split}: {coco_check.summary(left_out)}\n')
        if inspection.repaired:
            if str(ann_file) not in repaired:
                repaired[str(ann_file)] = coco_check.write_repaired(ann_file, inspection, split, cfg.work_dir)
            dataset_cfg = copy.deepcopy(dataset_cfg)
            dataset_cfg.ann_file = repaired[str(ann_file)]
        result = _check_dataset(cfg, dataset_cfg, split, _parsed(dataset_class, inspection.content))
        result.said, result.left_out = said.getvalue() + result.said, left_out
        if not inspection.repaired:
            check_results.save(cache, result)
    else:
        result.said += ' (unchanged since it was checked)'
    if result.left_out:
        coco_check.note(result.left_out, split, cfg.work_dir)
    return result


def _parsed(dataset_class: type, content: dict[str, list[dict[str, Any]]]) -> type:
    """The data set with annotations that are already in memory, so that no second reader parses the file."""

    def in_memory(path: str) -> Any:
        coco = dataset_class.COCOAPI()
        coco.dataset = content
        coco.createIndex()
        coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
        return coco

    return type(dataset_class.__name__, (dataset_class,), {'COCOAPI': staticmethod(in_memory)})


def _check_dataset(
    cfg: Config, dataset_cfg: ConfigDict, split: str, dataset_class: type | None = None
) -> check_results.CheckResult:
    dataset = _build(cfg, dataset_cfg, split, dataset_class)
    classes = list(dataset.metainfo.get('classes') or ())
    return check_results.CheckResult(f'{split}: {_describe(dataset, dataset_cfg, classes)}', classes)


def _dataset_class(cfg: Config, dataset_cfg: ConfigDict) -> type:
    scope = dataset_cfg.get('_scope_', cfg.get('default_scope'))
    if scope is not None and not (isinstance(scope, str) and scope):
        raise SeMmError(f'default_scope is {scope!r}; expected the name of a package, such as mmdet')
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


def _writes_only(evaluators: Any) -> bool:
    """Whether a test writes results for a server that has the annotations."""
    evaluators = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    return all(isinstance(evaluator, dict) and evaluator.get('format_only') for evaluator in evaluators)


def _build(cfg: Config, dataset_cfg: ConfigDict, split: str, dataset_class: type | None) -> Any:
    dataset_cfg = copy.deepcopy(dataset_cfg)
    dataset_cfg.update(pipeline=[], serialize_data=False, lazy_init=False)
    name = dataset_cfg.type
    dataset_cfg.type = dataset_class or name
    # pycocotools prints; mmpretrain's CIFAR and MNIST wait for all processes, and only one is here.
    with redirect_stdout(io.StringIO()), mock.patch('mmengine.dist.barrier'):
        try:
            with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
                dataset = registry.build(dataset_cfg)
            dataset.full_init()
        except SeMmError:
            raise
        except ElementTree.ParseError as error:
            raise SeMmError(f'{split} data ({name}): {voc_check.unreadable(dataset_cfg)}') from error
        except (AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            hint = (
                f' --classes takes the names of all folders in {dataset_cfg.get("data_prefix")}, hidden ones too.'
                if 'subfolders' in str(error)
                else ''
            )
            raise SeMmError(f'{split} data ({name}) cannot be read: {error}{hint}') from error
    _check_folders_of_classes(dataset, split)
    if not len(dataset):
        raise SeMmError(f'{split} data: nothing is left after filtering ({dataset_cfg.get("filter_cfg")})')
    some = [dataset.get_data_info(i).get('img_path') for i in (0, len(dataset) // 2, len(dataset) - 1)]
    if all(isinstance(path, str) and '://' not in path and not Path(path).is_file() for path in some):
        raise SeMmError(f'{split} data: the images that are named are not there: {listed(some, 5)}')
    return dataset


def _check_folders_of_classes(dataset: Any, split: str) -> None:
    """mmpretrain numbers the folders in their own order and names them in the config's, and asks only for as many."""
    folders = tuple(getattr(dataset, 'folder_to_idx', ()))
    classes = tuple(dataset.metainfo.get('classes') or ())
    named = Path(getattr(dataset, 'ann_file', '') or '').parent / 'classes.txt'  # beside lists of ours
    numbered = type(dataset).__name__ == 'CustomDataset' and dataset.ann_file and named.is_file()
    names = tuple(named.read_text().splitlines()) if numbered else classes
    if names != classes:
        raise SeMmError(
            f'{split} data: the labels of {dataset.ann_file} count the classes of {named} ({listed(names, 5)}), which '
            f'are not those of the config ({listed(classes, 5)}) in the same order; give them so, or delete {named}'
        )
    if folders and folders != classes and all(len(name) == 1 for name in folders):
        raise SeMmError(
            f'{split} data: {dataset.img_prefix} holds letters ({listed(folders, 5)}), not classes; the official '
            "form of Places365 is read by type='se_mm.Places365'"
        )
    named_by_config = type(dataset).__name__ == 'CustomDataset'  # ImageNet and others know what their folders are
    if folders and named_by_config and folders != classes:
        raise SeMmError(
            f'{split} data: the folders of {dataset.img_prefix} ({listed(folders, 5)}) are not the classes of the '
            f'config ({listed(classes, 5)}) in the same order; --classes takes the names of the folders'
        )


def _describe(dataset: Any, dataset_cfg: ConfigDict, classes: Sequence[str]) -> str:
    source = coco_check.ann_file_of(dataset_cfg)
    labels = Counter(_labels(dataset))
    if labels and max(labels) >= len(classes) > 0:
        raise SeMmError(f'{source} has the label {max(labels)}, and the config names {len(classes)} classes, from 0')
    kind = 'boxes' if 'instances' in dataset.get_data_info(0) else 'labels'
    counts = listed([f'{name} {labels[i]}' for i, name in enumerate(classes)], 5)
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
    for keys, node in nodes(model, ('model',)):
        part = next(key for key in reversed(keys) if isinstance(key, str))
        count, where = node.get('num_classes'), dotted(keys)
        if part in CLASS_HEADS and isinstance(count, int) and classes and count != len(classes):
            raise SeMmError(
                f'{where}.num_classes is {count}, but the {split} data have {len(classes)} classes '
                f'({listed(classes, 5)}); set {where}.num_classes={len(classes)}'
            )
