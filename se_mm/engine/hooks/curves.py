"""The metrics of every validation, as a table and as curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ...utils.atomic import write_atomic
from ...utils.processes import of_main_process
from ...visualization.backends import record_picture
from ...visualization.training_curves import draw_curves, print_validations
from ..loops import EpochBasedTrainLoop, IterBasedTrainLoop, is_validation_due
from .checkpoint import VALIDATED

FILE = 'validations.json'


@HOOKS.register_module()
class CurvesHook(Hook):
    """Keeps the metrics of every validation; at the end prints them and draws them with the loss.

    They are kept in ``work_dir/validations.json``, so that a resumed run shows the whole of its training; the picture
    is ``work_dir/curves.png``. A validation that was due when the training was cut off is made up for.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.validations: list[dict[str, Any]] = []

    def before_train(self, runner: Runner) -> None:
        file = Path(runner.work_dir, FILE)
        if runner.iter and file.is_file():
            self.validations = _until_now(runner, file)
        elif is_main_process():
            file.unlink(missing_ok=True)  # of an earlier training in this folder
        if of_main_process(lambda: self._misses_a_validation(runner)):
            self.validations = [entry for entry in self.validations if entry['iter'] < runner.iter]
            runner.logger.info(f'iteration {runner.iter} was not validated before the training was cut off: now')
            runner.val_loop.run()

    def _misses_a_validation(self, runner: Runner) -> bool:
        """Whether one is due, and the checkpoint is without what it changes (a schedule, the best score)."""
        is_ours = isinstance(runner.train_loop, (EpochBasedTrainLoop, IterBasedTrainLoop))
        if not runner.iter or not is_ours or runner.val_loop is None or not is_validation_due(runner.train_loop):
            return False
        if runner.iter >= runner.max_iters and any(entry['iter'] == runner.iter for entry in self.validations):
            return False  # at the end nothing follows from it, and its metrics are enough
        return runner.message_hub.runtime_info.get(VALIDATED) != runner.iter

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        numbers = {key: float(value) for key, value in (metrics or {}).items() if isinstance(value, (int, float))}
        self.validations.append({'epoch': runner.epoch, 'iter': runner.iter, **numbers})
        if is_main_process():
            write_atomic(Path(runner.work_dir, FILE), json.dumps(self.validations, indent=1))

    @master_only
    def after_train(self, runner: Runner) -> None:
        losses = {
            name.removeprefix('train/'): buffer.data[0]
            for name, buffer in runner.message_hub.log_scalars.items()
            if 'loss' in name and name.startswith('train/')
        }
        path = Path(runner.work_dir, 'curves.png')
        draw_curves(losses, self.validations, path, runner.iter)
        record_picture(runner.visualizer, path, runner.iter)
        print_validations(self.validations)
        runner.logger.info(f'curves: {path}')


def _until_now(runner: Runner, file: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(file.read_text())
        return [entry for entry in entries if entry['iter'] <= runner.iter and entry['epoch'] <= runner.epoch]
    except (ValueError, TypeError, KeyError) as error:
        runner.logger.warning(f'{file} is damaged ({error}): the validations before this start are not shown')
        return []
