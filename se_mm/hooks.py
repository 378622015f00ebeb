"""The hooks of se_mm: curves at the end of training, a sheet of pictures at the end of a test."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from . import pictures
from .atomic import write_whole
from .datasets.skipped import FILE, Skipped, noted
from .errors import SeMmError, listed
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
        due = [runner.iter and _is_due(runner) and not any(entry['iter'] == runner.iter for entry in self.validations)]
        broadcast_object_list(due)  # the file may be on the disk of the main process alone
        if due[0]:
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
class SkippedDataHook(Hook):
    """Names the pictures that could not be read, and stops a training that has too many of them.

    They are noted by :class:`se_mm.datasets.loading.LoadImageFromFile` in the work_dir; what
    was left out in all is the last that a run says.

    Args:
        most: the share of the training pictures that may be unreadable; above it training stops.
        interval: iterations between two looks.
    """

    priority = 'LOWEST'

    def __init__(self, most: float = 0.1, interval: int = 100) -> None:
        self.most = most
        self.interval = interval
        self._position = 0
        self._known: dict[Skipped, None] = {}  # in the order of their discovery
        self._noted_now: set[Skipped] = set()

    def before_run(self, runner: Runner) -> None:
        self._splits = ('train', 'val') if runner._train_loop is not None else ('test',)
        self._look(runner, say=False)  # of a run that is resumed, and of the annotations

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self._look(runner)
            self._stop_if_too_many(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._look(runner)
        self._stop_if_too_many(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._look(runner)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._look(runner)

    def after_run(self, runner: Runner) -> None:
        if self._known:
            counts = Counter(f'{entry.kind}s of {entry.split}' for entry in self._known)
            each = ', '.join(f'{count} {what}' for what, count in counts.items())
            runner.logger.warning(f'left out of the data: {each}; each is named in {self._file(runner)}')

    def _file(self, runner: Runner) -> Path:
        return Path(runner.work_dir, FILE)

    def _look(self, runner: Runner, say: bool = True) -> None:
        found, self._position = noted(self._file(runner), self._position)
        for entry in (entry for part in all_gather_object(found) for entry in part):  # not all see the same disk
            if entry.split not in self._splits:
                continue
            if say:
                self._noted_now.add(entry)
            if entry not in self._known:
                self._known[entry] = None
                if say:
                    runner.logger.warning(f'{entry.split}: {entry.name} is left out: {entry.reason}')

    def _stop_if_too_many(self, runner: Runner) -> None:
        unreadable = [
            f'{entry.name} ({entry.reason})'
            for entry in self._known
            if entry in self._noted_now and (entry.split, entry.kind) == ('train', 'image')
        ]
        count = len(runner.train_dataloader.dataset)
        if len(unreadable) > self.most * count:
            raise SeMmError(
                f'{len(unreadable)} of {count} train images cannot be read, more than {self.most:.1%}: '
                f'{listed(unreadable)}; all are named in {self._file(runner)}'
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
class CompileHook(Hook):
    """Lets ``torch.compile`` make the backbones quicker: what is of one piece in a detector.

    mmengine's own ``compile`` takes the whole step, optimizer included, which torch's compiler
    does not follow. The keys of the checkpoints stay as they are.
    """

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        backbones = [module for name, module in model.named_modules() if name.split('.')[-1] == 'backbone']
        if not backbones:
            raise SeMmError('--compile compiles the backbones, and the model has none')
        for backbone in backbones:
            backbone.compile()


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
