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

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from ...config.loaders import datasets_of
from ...config.refusals import check_metrics
from ...config.tree import dotted, nodes
from ...errors import SeMmError, listed
from ...utils.processes import of_main_process
from ..annotations import coco
from . import boxes, skipped

#: What decides which boxes of a COCO file are trained on.
_READING = ('parse_data_info', 'filter_data', 'full_init')
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

    COCO files that have to be mended are replaced in the config by copies in ``work_dir/annotations``; what was
    left out is noted in ``work_dir/skipped_data.jsonl``. A large COCO file that is fine is not read again until it
    changes (:mod:`~se_mm.datasets.annotations.remembered`).
    """
    copies = of_main_process(lambda: _check(cfg, splits))
    if copies:
        boxes.use_copies(cfg, copies)


def _check(cfg: Config, splits: Sequence[str]) -> dict[str, str]:
    """The annotation files that were mended, and their copies."""
    if not cfg.get('resume'):
        with suppress(OSError):
            skipped.forget(Path(cfg.work_dir, skipped.FILE), splits)
    copies: dict[str, str] = {}
    lines: dict[str, None] = {}
    for split in splits:
        check_metrics(cfg, split)
        for dataset_cfg in datasets_of(cfg.get(f'{split}_dataloader')):
            dataset_class = _dataset_class(cfg, dataset_cfg)
            if isinstance(dataset_class, type) and not issubclass(dataset_class, BaseDataset):
                print(f'{split}: {dataset_class.__name__} is no data set of mmengine and is not checked')
                continue
            said, classes = _check_dataset(cfg, dataset_cfg, dataset_class, split, copies)
            _check_heads(cfg.model, classes, split)
            for line in said:
                if line not in lines:
                    print(line)
                lines[line] = None
    coco.forget()
    return copies


def _check_dataset(
    cfg: Config, dataset_cfg: ConfigDict, dataset_class: type, split: str, copies: dict[str, str]
) -> tuple[list[str], list[str]]:
    """What to say of a data set, and its classes."""
    from mmdet.datasets import CocoDataset, XMLDataset

    said: list[str] = []
    if getattr(dataset_class, 'load_data_list', None) is CocoDataset.load_data_list:
        result = boxes.check_coco(cfg, dataset_cfg, dataset_class, split, copies)
        said = result['said']
        as_mmdets = all(getattr(dataset_class, name) is getattr(CocoDataset, name) for name in _READING)
        if as_mmdets and 'indices' not in dataset_cfg:
            _build(cfg, dataset_cfg, split, lazily=True)
            return said, result['classes']
        dataset_cfg = copy.deepcopy(dataset_cfg)
        dataset_cfg.ann_file = copies.get(str(boxes.ann_file_of(dataset_cfg)), dataset_cfg.ann_file)
        said = said[:-1]  # counted again
    elif issubclass(dataset_class, XMLDataset):
        said = boxes.check_voc(dataset_cfg, split)
    dataset = _build(cfg, dataset_cfg, split)
    classes = list(dataset.metainfo.get('classes') or ())
    return [*said, f'{split}: {_describe(dataset, dataset_cfg, classes)}'], classes


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


def _build(cfg: Config, dataset_cfg: ConfigDict, split: str, lazily: bool = False) -> Any:
    """The data set; ``lazily``: as it is before it reads its annotations."""
    dataset_cfg = copy.deepcopy(dataset_cfg)
    dataset_cfg.update(pipeline=[], serialize_data=False, lazy_init=lazily)
    name = dataset_cfg.type
    # pycocotools prints; mmpretrain's CIFAR and MNIST wait for all processes, and only one is here.
    with redirect_stdout(io.StringIO()), mock.patch('mmengine.dist.barrier'):
        try:
            with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
                dataset = registry.build(dataset_cfg)
            if lazily:
                return dataset
            dataset.full_init()
        except SeMmError:
            raise
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
    source = boxes.ann_file_of(dataset_cfg)
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
