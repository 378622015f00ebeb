"""Pictures at the end of a test."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...datasets.transforms.loading import LoadImageFromFile
from ...registry import HOOKS
from ...utils.atomic import write_atomic
from ...visualization.backends import record_picture
from ...visualization.classification import draw_classified, draw_confusion
from ...visualization.detections import DetectionDrawer, ground_truth
from ...visualization.sheets import compose


@HOOKS.register_module()
class ConfusionHook(Hook):
    """Draws the confusion matrix of a test that has mmpretrain's ``ConfusionMatrix`` among its metrics.

    Args:
        path: the PNG to write.
    """

    priority = 'HIGHEST'  # before the hooks that log metrics, which take numbers only

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, Any] | None = None) -> None:
        matrix = (metrics or {}).pop('confusion_matrix/result')
        if is_main_process():
            classes = runner.test_dataloader.dataset.metainfo['classes']
            draw_confusion(matrix.cpu().numpy(), classes, self.path)
            record_picture(runner.visualizer, self.path)
            runner.logger.info(f'confusion matrix: {self.path}')


@HOOKS.register_module()
class SheetHook(Hook):
    """Collects images of a test into one picture: a detector's first, a classifier's in turn from its classes.

    A detector's show the ground truth on the left of the predictions, a classifier's both as text; wrong ones are
    marked.

    Args:
        path: the PNG to write.
        count: how many images.
        score_threshold: detections below it are not drawn.
    """

    def __init__(self, path: str, count: int = 8, score_threshold: float = 0.3) -> None:
        self.path = Path(path)
        self.count = count
        self.score_threshold = score_threshold
        self.seen: dict[int, list[Any]] = {}  # a detector's under 0

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for sample in outputs:
            label = int(sample.gt_label[0]) if 'gt_label' in sample else 0
            of_class = self.seen.setdefault(label, [])
            of_class += [sample] * (len(of_class) < self.count)

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        labels = sorted(self.seen)
        chosen = [
            labels[i] for i in sorted({*np.linspace(0, len(labels) - 1, min(self.count, len(labels)), dtype=int)})
        ]
        in_turn = itertools.chain(*itertools.zip_longest(*(self.seen[label] for label in chosen)))
        samples = [sample.cpu() for sample in in_turn if sample is not None][: self.count]
        if not all('img_path' in sample for sample in samples):
            runner.logger.warning('--sheet: the pictures have no files, as those of an archive; no sheet is drawn')
            return
        dataset = runner.test_dataloader.dataset
        infos = _infos(dataset, [sample.img_path for sample in samples])
        load = LoadImageFromFile(unreadable='grey')
        images = [np.ascontiguousarray(load(dict(info))['img'][..., ::-1]) for info in infos]
        aspects = [image.shape[1] / image.shape[0] for image in images]
        captions = [Path(sample.img_path).name for sample in samples]
        if samples and 'pred_instances' in samples[0]:
            drawer = DetectionDrawer(dataset.metainfo, self.score_threshold)
            truths = [ground_truth(info, image.shape[:2]) for info, image in zip(infos, images, strict=True)]
            captions = [f'{name}: ground truth, and predictions over {self.score_threshold}' for name in captions]
            sheet = compose(
                [2 * a for a in aspects], captions, lambda i, h: drawer(images[i], samples[i], truths[i], h)
            )
        else:
            classes = dataset.metainfo['classes']
            wrong = ['gt_label' in s and int(s.pred_label[0]) not in s.gt_label.tolist() for s in samples]
            captions = [f'{"WRONG: " * is_wrong}{name}' for name, is_wrong in zip(captions, wrong, strict=True)]
            sheet = compose(aspects, captions, lambda i, h: draw_classified(images[i], samples[i], classes, h), 1200)
        write_atomic(self.path, cv2.imencode('.png', sheet[..., ::-1])[1].tobytes())
        record_picture(runner.visualizer, self.path)
        runner.logger.info(f'predictions beside the ground truth: {self.path}')


def _infos(dataset: Any, paths: list[str]) -> list[dict[str, Any]]:
    """What the data set says of some of its images, in the order of their paths."""
    found: dict[str, dict[str, Any]] = {}
    for index in range(len(dataset)):
        if found.keys() == set(paths):
            break
        info = dataset.get_data_info(index)
        if info['img_path'] in paths:
            found[info['img_path']] = info
    return [found[path] for path in paths]
