"""Pre-emption: on SIGTERM a checkpoint is saved, and the process exits with a status that tells the scheduler."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_comm_device
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from ...errors import SeMmError
from ...registry import HOOKS
from .checkpoint import CheckpointHook

#: Exit status after a checkpoint was saved on SIGTERM (75, "temporary failure, try again" in sysexits.h).
PREEMPTED_STATUS = getattr(os, 'EX_TEMPFAIL', 75)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Saves a checkpoint and exits with status 75 after the iteration in which any process gets SIGTERM."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.asked = False

    def before_run(self, runner: Runner) -> None:
        self._previous = signal.signal(signal.SIGTERM, self._ask)

    def after_run(self, runner: Runner) -> None:
        signal.signal(signal.SIGTERM, self._previous)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def after_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        if self._anybody_asked():
            self._leave(runner, runner.epoch, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        fewest = torch.tensor(len(runner.val_dataloader), device=get_comm_device())
        all_reduce(fewest, 'min')
        self._batches_of_all = int(fewest)  # some samplers give more to one process than to another

    def after_val_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        # Outside of a training (tools/test.py) there is nothing to save.
        if runner._train_loop is not None and batch_idx < self._batches_of_all and self._anybody_asked():
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.after_val_epoch(runner)  # during validation the model holds the averaged weights
            self._leave(runner, runner.epoch, runner.iter)

    def _anybody_asked(self) -> bool:
        asked = torch.tensor(float(self.asked), device=get_comm_device())
        all_reduce(asked, 'max')
        return bool(asked)

    def _leave(self, runner: Runner, epoch: int, iteration: int) -> None:
        hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        if hook is None:
            raise SeMmError('SIGTERM: the config has no CheckpointHook, nothing was saved')
        path = hook.save_now(runner, epoch, iteration)
        runner.logger.warning(f'SIGTERM: iteration {iteration} is saved to {path}; --resume goes on from there')
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        barrier()  # launchers kill the others as soon as one exits, and the main process may still be writing
        raise SystemExit(PREEMPTED_STATUS)
