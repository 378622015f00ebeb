"""Checkpoints that are written atomically, with the gradients that are accumulated."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

from mmengine.dist import all_reduce, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor

from ...compat.runner import unwrapped
from ...errors import SeMmError
from ...registry import HOOKS
from ...utils.atomic import remove_left_over, write_atomic
from ...utils.console import warn
from ..resume import LAST, latest_checkpoint

PREEMPTED = 'preempted.pth'
GRADIENTS = 'accumulated_gradients'
BACKEND = 'se_mm_atomic'
#: Key in the message hub for the iteration whose validation a checkpoint includes.
VALIDATED = 'validated_iter'


class AtomicBackend(LocalBackend):
    """mmengine's local files, written atomically; what is removed stays until the next file is written beside it."""

    removed: ClassVar[list[Path]] = []  # mmengine makes a new backend for each file

    def put(self, obj: bytes, filepath: str | Path) -> None:
        folder = Path(filepath).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(filepath, obj)
        except OSError as error:
            good = latest_checkpoint(folder, verbose=False)
            raise SeMmError(
                f'checkpoint {filepath} cannot be written: {error.strerror or error} '
                f'({shutil.disk_usage(folder).free / 1e6:.0f} MB are free there); '
                + (f'the last good one is {good}, from which --resume goes on' if good else 'there is none before it')
            ) from error
        for path in self.removed:  # a resumed checkpoint may name those of another training
            if path.parent.resolve() == folder.resolve():
                path.unlink(missing_ok=True)
            else:
                warn(f'{path} is not removed: it is outside of {folder}')
        self.removed.clear()

    def remove(self, filepath: str | Path) -> None:
        self.removed.append(Path(filepath))


register_backend(BACKEND, AtomicBackend, force=True)


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """mmengine's, with atomic writes; an older checkpoint is removed after the new one is written.

    So there has to be room for one more than ``max_keep_ckpts``. Gradients that are accumulated and not yet applied are
    part of the checkpoint. With ``backend_args`` or ``file_client_args`` the files are written as those say.
    """

    _gradients: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        folder = str(self.out_dir or runner.work_dir)
        if self.backend_args is None and self.file_client_args is None and '://' not in folder:
            self.backend_args = dict(backend=BACKEND)
        AtomicBackend.removed.clear()
        super().before_train(runner)
        if is_main_process():
            remove_left_over(runner.work_dir)
        for name, parameter in unwrapped(runner).named_parameters():
            if name in self._gradients:
                parameter.grad = self._gradients[name].to(parameter)
        self._gradients = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        resumed = runner.cfg.get('resume')
        self._gradients = checkpoint.pop(GRADIENTS, {}) if resumed else {}
        averages = any(type(hook).__name__.endswith('EMAHook') for hook in runner.hooks)
        if resumed and 'ema_state_dict' in checkpoint and not averages:
            runner.logger.warning(
                'the checkpoint is of a training that averaged its weights, and this one does not: it goes on from the '
                'average; with --ema, or the EMAHook that it had, it goes on as it was'
            )
        checkpoint.get('meta', {}).pop('config', None)  # Runner.resume would run this text; mmengine writes `cfg`

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if 'optimizer' in checkpoint and _is_accumulating(runner):
            parameters = unwrapped(runner).named_parameters()
            checkpoint[GRADIENTS] = {name: p.grad.cpu() for name, p in parameters if p.grad is not None}

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        if not self.by_epoch and self.every_n_train_iters(runner, self.interval, self.save_begin):
            _average_gradients(runner)
        super().after_train_iter(runner, batch_idx, *args, **kwargs)

    def after_train_epoch(self, runner: Runner) -> None:
        if self.by_epoch and self.every_n_epochs(runner, self.interval, self.save_begin):
            _average_gradients(runner)
        super().after_train_epoch(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any]) -> None:
        runner.message_hub.update_info(VALIDATED, runner.iter)
        if self.save_best:
            _average_gradients(runner)
        super().after_val_epoch(runner, metrics)

    def save_now(self, runner: Runner, epoch: int, iteration: int) -> str:
        """Writes the state beside the regular checkpoints, as the one to resume from; returns its path."""
        _average_gradients(runner)
        meta = dict(epoch=epoch, iter=iteration)
        runner.save_checkpoint(self.out_dir, PREEMPTED, meta=meta, backend_args=self.backend_args)
        path = self.file_backend.join_path(self.out_dir, PREEMPTED)
        if is_main_process():
            write_atomic(Path(runner.work_dir, LAST), path)
        return path


def _is_accumulating(runner: Runner) -> bool:
    wrapper = runner.optim_wrapper
    counts = isinstance(wrapper, OptimWrapper) and not isinstance(wrapper, OptimWrapperDict)
    return counts and not wrapper.should_update()


def _average_gradients(runner: Runner) -> None:
    """Averages accumulated gradients over the processes, before the main one saves them."""
    if _is_accumulating(runner):
        for parameter in runner.model.parameters():
            if parameter.grad is not None:
                all_reduce(parameter.grad, 'mean')
