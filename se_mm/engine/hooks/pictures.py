"""Pictures at the end of a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ...visualization.classification import draw_confusion
from ...visualization.detections import draw_sheet


@HOOKS.register_module()
class ConfusionHook(Hook):
    """Draws the confusion matrix of a test that has mmpretrain's ``ConfusionMatrix`` among its metrics.

    Args:
        path: the PNG to write.
    """

    priority = 'HIGHEST'  # before the hooks that log the metrics: a matrix is none

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, Any] | None = None) -> None:
        matrix = (metrics or {}).pop('confusion_matrix/result')
        if is_main_process():
            classes = runner.test_dataloader.dataset.metainfo['classes']
            draw_confusion(matrix.cpu().numpy(), classes, self.path)
            runner.logger.info(f'confusion matrix: {self.path}')


@HOOKS.register_module()
class SheetHook(Hook):
    """Collects the first images of a test into one picture: ground truth on the left, predictions on the right.

    Args:
        path: the PNG to write.
        count: how many images.
        score_threshold: predictions below it are not drawn.
    """

    def __init__(self, path: str, count: int = 8, score_threshold: float = 0.3) -> None:
        self.path = Path(path)
        self.count = count
        self.score_threshold = score_threshold
        self.samples: list[Any] = []

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.samples += list(outputs)[: self.count - len(self.samples)]

    @master_only
    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        classes = runner.test_dataloader.dataset.metainfo['classes']
        draw_sheet(self.samples, classes, self.path, self.score_threshold)
        runner.logger.info(f'predictions beside the ground truth: {self.path}')
