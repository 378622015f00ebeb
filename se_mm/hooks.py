"""The hooks of se_mm: curves at the end of training, a sheet of pictures at the end of a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.dist import all_reduce, get_comm_device, is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from . import pictures
from .atomic import write_whole
from .errors import SeMmError
from .registry import HOOKS
from .training.loops import EpochBasedTrainLoop


@HOOKS.register_module()
class CurvesHook(Hook):
    """Keeps the metrics of every validation; at the end prints them and draws them with the loss.

    The metrics are kept in ``work_dir/validations.json``, so that a resumed run shows the
    whole of its training; the picture is ``work_dir/curves.png``.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.validations: list[dict[str, Any]] = []

    def before_train(self, runner: Runner) -> None:
        file = Path(runner.work_dir, 'validations.json')
        if runner.iter and file.is_file():
            self.validations = [entry for entry in json.loads(file.read_text()) if entry['iter'] <= runner.iter]
        if runner.iter and _is_due(runner) and not any(entry['iter'] == runner.iter for entry in self.validations):
            runner.logger.info(f'iteration {runner.iter} was not validated before the training was cut off: now')
            runner.val_loop.run()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        numbers = {key: float(value) for key, value in (metrics or {}).items() if isinstance(value, (int, float))}
        self.validations.append({'epoch': runner.epoch, 'iter': runner.iter, **numbers})
        if is_main_process():
            write_whole(Path(runner.work_dir, 'validations.json'), json.dumps(self.validations, indent=1))

    @master_only
    def after_train(self, runner: Runner) -> None:
        losses = {
            name.removeprefix('train/'): buffer.data[0]
            for name, buffer in runner.message_hub.log_scalars.items()
            if 'loss' in name and name.startswith('train/')
        }
        path = Path(runner.work_dir, 'curves.png')
        pictures.draw_curves(losses, self.validations, path)
        pictures.print_table(self.validations)
        runner.logger.info(f'curves: {path}')


@HOOKS.register_module()
class BrokenImagesHook(Hook):
    """Names the pictures that a data set could not read, and stops a run that has too many of them.

    For data sets that keep count of them (``se_mm.Places365``).

    Args:
        most: the share of the training pictures that may be broken; above it training stops.
        interval: iterations between two looks.
    """

    def __init__(self, most: float = 0.001, interval: int = 100) -> None:
        self.most = most
        self.interval = interval
        self.named: set[str] = set()

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self._look(runner, runner.train_dataloader.dataset, 'train', self.most)

    def after_train_epoch(self, runner: Runner) -> None:
        self._look(runner, runner.train_dataloader.dataset, 'train', self.most)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._look(runner, runner.val_dataloader.dataset, 'val')

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._look(runner, runner.test_dataloader.dataset, 'test')

    def _look(self, runner: Runner, dataset: Any, split: str, most: float = 1.0) -> None:
        while not hasattr(dataset, 'broken_images') and hasattr(dataset, 'dataset'):
            dataset = dataset.dataset
        if not hasattr(dataset, 'broken_images'):
            return
        # Every process sees its own part of the data; a picture counts once, and all stop together.
        everywhere = dataset.broken.to(get_comm_device(), copy=True)
        all_reduce(everywhere, 'max')
        dataset.broken.copy_(everywhere)
        broken = dataset.broken_images()
        for path in broken:
            if path not in self.named:
                self.named.add(path)
                runner.logger.warning(f'{split} image {path} cannot be read ({len(broken)} of {len(dataset)} so far)')
        if len(broken) > most * len(dataset):
            raise SeMmError(
                f'{len(broken)} of {len(dataset)} {split} images cannot be read, more than {most:.1%}: '
                f'{", ".join(broken[:10])}{" ..." if len(broken) > 10 else ""}; '
                'tools/prepare_data.py DATA ROOT --check looks at all of them'
            )


def _is_due(runner: Runner) -> bool:
    """Whether a training that came here without a stop would have been validated just now."""
    loop = runner.train_loop
    if runner.val_loop is None:
        return False
    if not isinstance(loop, EpochBasedTrainLoop):
        return loop.iter >= loop.val_begin and (loop.iter % loop.val_interval == 0 or loop.iter == loop.max_iters)
    at_its_end = loop.batches_done() == 0
    due = loop.epoch % loop.val_interval == 0 or loop.epoch == loop.max_epochs
    return at_its_end and loop.epoch >= loop.val_begin and due


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
            pictures.draw_confusion(matrix.cpu().numpy(), classes, self.path)
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
        pictures.draw_sheet(self.samples, classes, self.path, self.score_threshold)
        runner.logger.info(f'predictions beside the ground truth: {self.path}')
