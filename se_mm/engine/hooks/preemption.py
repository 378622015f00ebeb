"""On SIGTERM (pre-emption) and Ctrl-C a checkpoint is saved, and the process exits with a status that says so."""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_comm_device
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from ...compat.runner import is_training
from ...errors import INTERRUPTED, PREEMPTED_STATUS, SeMmError
from ...registry import HOOKS
from .checkpoint import CheckpointHook
from .curves import CurvesHook

#: Launchers pass Ctrl-C on to processes that have it from the terminal: within so many seconds it is the same one.
SAME_KEY = 1.0


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Saves a checkpoint and exits after the iteration in which any process gets SIGTERM or Ctrl-C.

    The status is 75 after SIGTERM and 130 after Ctrl-C; the curves are written. A second Ctrl-C quits at once.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.asked = 0
        self._asked_at = 0.0
        self._previous: dict[int, Any] = {}

    def before_run(self, runner: Runner) -> None:
        if is_training(runner):  # else there is nothing to save
            _end_forks_on_sigterm()
            self._previous = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}

    def after_run(self, runner: Runner) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.asked != signal.SIGTERM:
            if self.asked and time.monotonic() - self._asked_at > SAME_KEY:
                raise KeyboardInterrupt
            if not self.asked:
                self._asked_at = time.monotonic()
                os.write(sys.__stderr__.fileno(), b'\nCtrl-C: saving after this iteration; again to quit at once\n')
        self.asked = max(self.asked, number)

    def after_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        self._leave_if_asked(runner, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        fewest = torch.tensor(len(runner.val_dataloader), device=get_comm_device())
        all_reduce(fewest, 'min')
        self._batches_of_all = int(fewest)  # some samplers give more to one process than to another
        self._passes = 0

    def after_val_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        self._passes += batch_idx == 0
        if self._previous and batch_idx < self._batches_of_all:
            self._leave_if_asked(runner, runner.iter, in_validation=True)

    def _leave_if_asked(self, runner: Runner, iteration: int, in_validation: bool = False) -> None:
        asked = torch.tensor(float(self.asked), device=get_comm_device())
        all_reduce(asked, 'max')  # whether any process was
        if not asked:
            return
        name = 'SIGTERM' if asked == signal.SIGTERM else 'Ctrl-C'
        saving = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        if saving is None:
            raise SeMmError(f'{name}: the config has no CheckpointHook, nothing was saved')
        for hook in runner.hooks if in_validation else ():
            # During validation the model holds the averaged weights; not where mmpretrain's hook validates the
            # others, in a second pass or in place of the first.
            if isinstance(hook, EMAHook) and self._passes == 1 and getattr(hook, 'evaluate_on_ema', True):
                EMAHook.after_val_epoch(hook, runner)
        path = saving.save_now(runner, runner.epoch, iteration)
        for number in self._previous:
            signal.signal(number, signal.SIG_IGN)
        for hook in runner.hooks:
            if isinstance(hook, CurvesHook):
                hook.after_train(runner)
        runner.visualizer.close()
        runner.logger.warning(
            f'{name}: iteration {iteration} is saved to {path}; --resume goes on from there '
            f'(the same command with --resume, and --work-dir {runner.work_dir})'
        )
        barrier()  # launchers kill the others as soon as one exits, and the main process may still be writing
        raise SystemExit(PREEMPTED_STATUS if name == 'SIGTERM' else INTERRUPTED)


@functools.cache
def _end_forks_on_sigterm() -> None:
    """In forks of a training SIGTERM has its usual effect: mmdet's VOCMetric ends its own so, and waits for them.

    Python forgets a signal that reaches a fork before its first line, so it is held back meanwhile. Ctrl-C, which
    goes to all processes of a terminal, has no effect there: what they do is finished first.
    """

    def is_handled() -> bool:
        return isinstance(getattr(signal.getsignal(signal.SIGTERM), '__self__', None), PreemptionHook)

    def mask(how: int) -> None:
        if is_handled():
            signal.pthread_sigmask(how, [signal.SIGTERM])

    def release_in_fork() -> None:
        if is_handled():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, lambda *_: None)  # not SIG_IGN, which programs that it starts would keep
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    os.register_at_fork(
        before=functools.partial(mask, signal.SIG_BLOCK),
        after_in_parent=functools.partial(mask, signal.SIG_UNBLOCK),
        after_in_child=release_in_fork,
    )
