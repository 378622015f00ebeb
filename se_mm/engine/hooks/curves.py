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
from ..loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .checkpoint import VALIDATED

FILE = 'validations.json'


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
        file = Path(runner.work_dir, FILE)
        if runner.iter and file.is_file():
            self.validations = _until_now(runner, file)
        elif is_main_process():
            file.unlink(missing_ok=True)  # of an earlier training in this folder
        if of_main_process(lambda: runner.iter and _is_due(runner) and not self._is_done(runner)):
            self.validations = [entry for entry in self.validations if entry['iter'] < runner.iter]
            runner.logger.info(f'iteration {runner.iter} was not validated before the training was cut off: now')
            runner.val_loop.run()

    def _is_done(self, runner: Runner) -> bool:
        """Whether the checkpoint holds what the validation changed (a schedule, the best score).

        At the end of the training nothing follows from it, and its metrics are enough.
        """
        at_its_end = runner.iter >= runner.max_iters and any(entry['iter'] == runner.iter for entry in self.validations)
        return at_its_end or runner.message_hub.runtime_info.get(VALIDATED) == runner.iter

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


def _is_due(runner: Runner) -> bool:
    """Whether a training that came here without a stop would have been validated just now."""
    loop = runner.train_loop
    if runner.val_loop is None or not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
        return False
    loop._decide_current_val_interval()
    if isinstance(loop, IterBasedTrainLoop):
        return loop.iter >= loop.val_begin and (loop.iter % loop.val_interval == 0 or loop.iter == loop.max_iters)
    at_its_end = loop.batches_done() == 0
    due = loop.epoch % loop.val_interval == 0 or loop.epoch == loop.max_epochs
    return at_its_end and loop.epoch >= loop.val_begin and due
