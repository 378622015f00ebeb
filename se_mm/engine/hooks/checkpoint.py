"""Checkpoints that are written atomically, and finding the newest one that can be resumed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ...errors import SeMmError
from ...registry import HOOKS
from ...utils.atomic import PART, write_atomic
from ...weights.files import read_checkpoint

LAST = 'last_checkpoint'
PREEMPTED = 'preempted.pth'
GRADIENTS = 'accumulated_gradients'
BACKEND = 'se_mm_atomic'
#: Key in the message hub for the iteration whose validation a checkpoint includes.
VALIDATED = 'validated_iter'


class AtomicBackend(LocalBackend):
    """mmengine's local files with atomic writes; what is removed stays until :meth:`remove_now`."""

    def __init__(self) -> None:
        self.removed: list[Path] = []

    def put(self, obj: bytes, filepath: str | Path) -> None:
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(filepath, obj)

    def remove(self, filepath: str | Path) -> None:
        self.removed.append(Path(filepath))

    def remove_now(self, folder: str | Path) -> None:
        """Removes those files that lie in ``folder``: a resumed checkpoint may name those of another training."""
        for path in self.removed:
            if path.parent.resolve() == Path(folder).resolve():
                path.unlink(missing_ok=True)
            else:
                print_log(f'{path} is not removed: it is outside of {folder}', logger='current', level=logging.WARNING)
        self.removed.clear()


register_backend(BACKEND, AtomicBackend, force=True)


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """mmengine's, with atomic writes; an older checkpoint is removed after the new one is written.

    So there has to be room for one more than ``max_keep_ckpts``. Gradients that are accumulated
    and not yet applied are part of the checkpoint. With ``backend_args`` or ``file_client_args``
    the files are written as those say.
    """

    _gradients: dict[str, torch.Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        folder = str(self.out_dir or runner.work_dir)
        if self.backend_args is None and self.file_client_args is None and '://' not in folder:
            self.backend_args = dict(backend=BACKEND)
        super().before_train(runner)
        if is_main_process():
            for left in Path(runner.work_dir).glob(f'*{PART}'):  # by a process that was killed
                left.unlink(missing_ok=True)
        _restore_gradients(runner.model, self._gradients)
        self._gradients = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self._gradients = checkpoint.pop(GRADIENTS, {}) if runner._resume else {}
        averaged = 'ema_state_dict' in checkpoint and runner._resume
        if averaged and not any(type(hook).__name__.endswith('EMAHook') for hook in runner.hooks):
            runner.logger.warning(
                'the checkpoint is of a training that averaged its weights, and this one does not: it goes on from the '
                'average; with --ema, or the EMAHook that it had, it goes on as it was'
            )
        checkpoint.get('meta', {}).pop('config', None)  # Runner.resume would run this text; mmengine writes `cfg`

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if 'optimizer' in checkpoint and _is_accumulating(runner):
            checkpoint[GRADIENTS] = {
                name: parameter.grad.cpu()
                for name, parameter in _parameters(runner.model)
                if parameter.grad is not None
            }

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any]) -> None:
        runner.message_hub.update_info(VALIDATED, runner.iter)
        super().after_val_epoch(runner, metrics)

    def save_now(self, runner: Runner, epoch: int, iteration: int) -> str:
        """Writes the state beside the regular checkpoints, as the one to resume from; returns its path."""
        self._save(
            runner,
            lambda: runner.save_checkpoint(
                self.out_dir, PREEMPTED, meta=dict(epoch=epoch, iter=iteration), backend_args=self.backend_args
            ),
        )
        path = self.file_backend.join_path(self.out_dir, PREEMPTED)
        if is_main_process():
            write_atomic(Path(runner.work_dir, LAST), path)
        return path

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        self._save(runner, lambda: super(CheckpointHook, self)._save_checkpoint_with_step(runner, step, meta))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        self._save(runner, lambda: super(CheckpointHook, self)._save_best_checkpoint(runner, metrics))

    def _save(self, runner: Runner, save: Callable[[], None]) -> None:
        if _is_accumulating(runner):
            _average_gradients(runner.model)
        try:
            save()
        except OSError as error:
            raise SeMmError(self._why_not_saved(runner, error)) from error
        if isinstance(self.file_backend, AtomicBackend):
            self.file_backend.remove_now(self.out_dir)

    def _why_not_saved(self, runner: Runner, error: OSError) -> str:
        good = latest_checkpoint(runner.work_dir, say=False)
        free = shutil.disk_usage(runner.work_dir).free
        return (
            f'the checkpoint of iteration {runner.iter + 1} cannot be written to {self.out_dir}: '
            f'{error.strerror or error} ({free / 1e6:.0f} MB are free there); '
            + (f'the last good one is {good}, from which --resume goes on' if good else 'there is none before it')
        )


def latest_checkpoint(work_dir: str | Path, say: bool = True) -> str | None:
    """The newest checkpoint of a work_dir that can be read and resumed.

    Args:
        work_dir: where a training left ``last_checkpoint`` and its files.
        say: whether checkpoints that are passed over are named.

    Returns:
        Its path; ``None`` where there is none.
    """
    for path in _candidates(Path(work_dir)):
        if '://' in path:
            return path
        wrong = why_not_resumable(path)
        if not wrong:
            return path
        if say:
            print_log(f'{path} is passed over: {wrong}', logger='current', level=logging.WARNING)
    return None


def why_not_resumable(path: str | Path) -> str | None:
    """Why a training cannot be resumed from a file; ``None`` if it can."""
    try:
        content = read_checkpoint(path)
    except SeMmError as error:
        return str(error)
    meta = content.get('meta')
    if not isinstance(meta, dict) or not {'epoch', 'iter'} <= set(meta) or 'message_hub' not in content:
        return f'checkpoint {path} holds weights and no state of a training to resume'
    if 'optimizer' not in content:
        return f'checkpoint {path} holds no state of the optimizer, so no training goes on from it'
    return None


def _candidates(work_dir: Path) -> Iterator[str]:
    """The one that ``last_checkpoint`` names, then the others, newest first."""
    named, folder = _named(work_dir / LAST), work_dir
    if named and '://' not in named:
        here = work_dir / Path(named).name  # the folder may have been moved or copied
        if here.is_file():
            named = str(here)
        elif Path(named).name != named:
            folder = Path(named).parent  # CheckpointHook's out_dir
    if named:
        yield named
    files = {*work_dir.glob('*.pth'), *folder.glob('*.pth')}
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        if str(file) != named and not file.name.startswith('best_'):
            yield str(file)


def _named(pointer: Path) -> str | None:
    """What ``last_checkpoint`` says; a loss of power may leave it empty, or full of NULs."""
    text = pointer.read_bytes().decode(errors='replace').strip() if pointer.is_file() else ''
    return None if {'\0', '\ufffd'} & {*text} else text or None


def _is_accumulating(runner: Runner) -> bool:
    counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    return counts > 1 and not runner.optim_wrapper.should_update()


def _average_gradients(model: nn.Module) -> None:
    """Averages the accumulated gradients over the processes: only the main process saves them."""
    for _, parameter in _parameters(model):
        if parameter.grad is not None:
            all_reduce(parameter.grad, 'mean')


def _restore_gradients(model: nn.Module, gradients: dict[str, torch.Tensor]) -> None:
    for name, parameter in _parameters(model):
        if name in gradients:
            parameter.grad = gradients[name].to(parameter)
    if gradients:
        print_log('accumulated gradients are restored from the checkpoint', logger='current')


def _parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return (model.module if is_model_wrapper(model) else model).named_parameters()
