"""The predictions of a test as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import collect_results
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...evaluation.predictions import best_classes, coco_results
from ...registry import HOOKS
from ...utils.atomic import write_atomic


@HOOKS.register_module()
class PredictionsHook(Hook):
    """Writes what a test predicted, of all processes, as JSON.

    Of a detector COCO results: ``image_id``, ``category_id``, ``bbox`` (x, y, width, height), ``score`` and perhaps
    ``segmentation`` (RLE). The ids are those of a COCO data set; in others (VOC) the image's own, and the classes
    counted from 1. Of a classifier ``file``, ``label``, the best ``scores``, and ``truth`` where it is known.

    Args:
        path: the file to write.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.found: list[list[dict[str, Any]]] = []

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        dataset = runner.test_dataloader.dataset
        for sample in outputs or ():
            if 'pred_instances' in sample:
                image = sample.get('img_id', sample.get('img_path'))
                results = coco_results(sample, _category_ids(dataset))
                self.found.append([{'image_id': image, **entry} for entry in results])
            else:
                classes = dataset.metainfo['classes']
                scores, truth = best_classes(sample, classes), sample.get('gt_label')
                entry = {'file': sample.get('img_path'), 'label': next(iter(scores)), 'scores': scores}
                if truth is not None and truth.numel() == 1:
                    entry['truth'] = classes[int(truth)]
                self.found.append([entry])

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        found = collect_results(self.found, len(runner.test_dataloader.dataset), device='cpu')
        self.found = []
        if found is not None:
            write_atomic(self.path, json.dumps([entry for entries in found for entry in entries]))
            runner.logger.info(f'predictions: {self.path}')


def _category_ids(dataset: Any) -> Sequence[int]:
    while not hasattr(dataset, 'cat_ids') and (hasattr(dataset, 'datasets') or hasattr(dataset, 'dataset')):
        dataset = dataset.datasets[0] if hasattr(dataset, 'datasets') else dataset.dataset
    return getattr(dataset, 'cat_ids', None) or range(1, 1 + len(dataset.metainfo['classes']))
