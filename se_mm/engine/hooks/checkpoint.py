"""Checkpoints that are whole, the last good one kept until the next is written, and found again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import CheckpointHook as _CheckpointHook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ...errors import SeMmError
from ...registry import HOOKS
from ...utils.atomic import PART, WholeFiles, unlink_link, write_whole
from ...weights.files import read_checkpoint

LAST = 'last_checkpoint'
PREEMPTED = 'preempted.pth'
GRADIENTS = 'accumulated_gradients'


@HOOKS.register_module()
class CheckpointHook(_CheckpointHook):
    """mmengine's, with files that are whole and the last good one never lost.

    A checkpoint is written aside and renamed, and an older one is removed only after that
    (so there has to be room for one more than ``max_keep_ckpts``). Only files in its own
    folder are removed, whatever a resumed checkpoint names. Gradients that are accumulated
    and not yet applied are part of the checkpoint.
    """

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if is_main_process():
            for left in Path(runner.work_dir).glob(f'*{PART}'):  # by a process that was killed
                left.unlink(missing_ok=True)
        if isinstance(self.file_backend, WholeFiles):
            self.file_backend = _RemovesLater(Path(self.out_dir))
        _restore_gradients(runner.model, self._gradients)
        self._gradients = {}

    _gradients: dict[str, torch.Tensor] = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self._gradients = checkpoint.pop(GRADIENTS, {}) if runner._resume else {}
        hub = checkpoint.get('message_hub')
        info = hub.get('runtime_info') if isinstance(hub, dict) else None
        if isinstance(info, dict) and not all(isinstance(step, int) for step in info.get('keep_ckpt_ids', ())):
            raise SeMmError('the checkpoint names other checkpoints by something else than numbers; refused')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if 'optimizer' in checkpoint and _is_accumulating(runner):
            checkpoint[GRADIENTS] = {
                name: parameter.grad.cpu()
                for name, parameter in _parameters(runner.model)
                if parameter.grad is not None
            }

    def save_now(self, runner: Runner, epoch: int, iteration: int) -> str:
        """Writes the whole state aside from the regular checkpoints, as the one to resume from; returns its path."""
        self._save_whole(
            runner,
            lambda: runner.save_checkpoint(
                self.out_dir, PREEMPTED, meta=dict(epoch=epoch, iter=iteration), backend_args=self.backend_args
            ),
        )
        path = self.file_backend.join_path(self.out_dir, PREEMPTED)
        if is_main_process():
            write_whole(Path(runner.work_dir, LAST), path)
        return path

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        self._save_whole(runner, lambda: super(CheckpointHook, self)._save_checkpoint_with_step(runner, step, meta))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        self._save_whole(runner, lambda: super(CheckpointHook, self)._save_best_checkpoint(runner, metrics))

    def _save_whole(self, runner: Runner, save: Any) -> None:
        if _is_accumulating(runner):
            _average_gradients(runner.model)
        if is_main_process():
            unlink_link(Path(runner.work_dir, LAST))
        try:
            save()
        except OSError as error:
            raise SeMmError(self._why_not_saved(runner, error)) from error
        if isinstance(self.file_backend, _RemovesLater) and is_main_process():
            self.file_backend.remove_now()

    def _why_not_saved(self, runner: Runner, error: OSError) -> str:
        good = latest_checkpoint(runner.work_dir, say=False)
        free = shutil.disk_usage(runner.work_dir).free
        return (
            f'the checkpoint of iteration {runner.iter + 1} cannot be written to {self.out_dir}: '
            f'{error.strerror or error} ({free / 1e6:.0f} MB are free there); '
            + (f'the last good one is {good}, from which --resume goes on' if good else 'there is none before it')
        )


class _RemovesLater(WholeFiles):
    """What mmengine's hook removes before it saves is removed after it has saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.paths: list[Path] = []

    def remove(self, filepath: str | Path) -> None:
        if Path(filepath).parent.resolve() == self.folder:
            self.paths.append(Path(filepath))
        else:
            print_log(f'{filepath} is not removed: it is outside of {self.folder}', logger='current', level=30)

    def rmtree(self, dir_path: str | Path) -> None:
        print_log(f'{dir_path} is not removed: our checkpoints are no folders', logger='current', level=30)

    def remove_now(self) -> None:
        while self.paths:
            self.paths.pop().unlink(missing_ok=True)


def latest_checkpoint(work_dir: str | Path, say: bool = True) -> str | None:
    """The newest checkpoint of a work_dir that is whole and can be resumed.

    Args:
        work_dir: where a training left ``last_checkpoint`` and its files.
        say: whether checkpoints that are passed over are named.

    Returns:
        Its path; ``None`` where there is none.
    """
    for path in _candidates(Path(work_dir)):
        wrong = why_not_resumable(path)
        if not wrong:
            return str(path)
        if say:
            print_log(f'{path} is passed over: {wrong}', logger='current', level=30)
    return None


def why_not_resumable(path: str | Path) -> str | None:
    """What keeps a training from going on from a file; ``None`` where nothing does."""
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


def _candidates(work_dir: Path) -> Iterator[Path]:
    """The one that was named last, then the others, newest first."""
    pointer = work_dir / LAST
    named = Path(pointer.read_text().strip()) if pointer.is_file() else None
    if named:
        here = work_dir / named.name  # the folder may have been moved or copied
        yield here if here.is_file() else named
    files = [file for file in work_dir.glob('*.pth') if not file.name.startswith('best_')]
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        if not named or file.name != named.name:
            yield file


def _is_accumulating(runner: Runner) -> bool:
    counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    return counts > 1 and not runner.optim_wrapper.should_update()


def _average_gradients(model: nn.Module) -> None:
    """Gives every process the mean of what all have accumulated, so that one process's file holds all of it."""
    for _, parameter in _parameters(model):
        if parameter.grad is not None:
            all_reduce(parameter.grad, 'mean')


def _restore_gradients(model: nn.Module, gradients: dict[str, torch.Tensor]) -> None:
    for name, parameter in _parameters(model):
        if name in gradients:
            parameter.grad = gradients[name].to(parameter)
    if gradients:
        print_log('the gradients that were accumulated when the checkpoint was written are there', logger='current')


def _parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return (model.module if is_model_wrapper(model) else model).named_parameters()
