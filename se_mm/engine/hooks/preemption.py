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

from ...errors import INTERRUPTED, PREEMPTED_STATUS, SeMmError
from ...registry import HOOKS
from .checkpoint import CheckpointHook
from .curves import CurvesHook

#: Launchers pass Ctrl-C on to processes that have it from the terminal: within so many seconds it is the same one.
SAME_KEY = 1.0


@HOOKS.register_module()
class PreemptionHook(Hook):
    """Saves a checkpoint and exits after the iteration in which any process gets SIGTERM or Ctrl-C.

    The status is 75 after SIGTERM and 130 after Ctrl-C; the curves are written. A second Ctrl-C
    quits at once.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.asked = 0
        self._asked_at = 0.0
        self._previous: dict[int, Any] = {}

    def before_run(self, runner: Runner) -> None:
        if runner._train_loop is not None:  # else (tools/test.py) there is nothing to save
            _free_forks()
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
        if self._anybody_asked():
            self._leave(runner, runner.epoch, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        fewest = torch.tensor(len(runner.val_dataloader), device=get_comm_device())
        all_reduce(fewest, 'min')
        self._batches_of_all = int(fewest)  # some samplers give more to one process than to another
        self._passes = 0

    def after_val_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        self._passes += batch_idx == 0
        if runner._train_loop is not None and batch_idx < self._batches_of_all and self._anybody_asked():
            for hook in runner.hooks:
                # During validation the model holds the averaged weights; not where mmpretrain's hook validates the
                # others, in a second pass or in place of the first.
                if isinstance(hook, EMAHook) and self._passes == 1 and getattr(hook, 'evaluate_on_ema', True):
                    hook._swap_ema_parameters()
            self._leave(runner, runner.epoch, runner.iter)

    def _anybody_asked(self) -> int:
        """The number of the signal; 0 where no process got one."""
        asked = torch.tensor(float(self.asked), device=get_comm_device())
        all_reduce(asked, 'max')
        return int(asked)

    def _leave(self, runner: Runner, epoch: int, iteration: int) -> None:
        name = 'SIGTERM' if self._anybody_asked() == signal.SIGTERM else 'Ctrl-C'
        hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
        if hook is None:
            raise SeMmError(f'{name}: the config has no CheckpointHook, nothing was saved')
        path = hook.save_now(runner, epoch, iteration)
        for number in self._previous:
            signal.signal(number, signal.SIG_IGN)
        for other in runner.hooks:
            if isinstance(other, CurvesHook):
                other.after_train(runner)
        runner.visualizer.close()
        runner.logger.warning(
            f'{name}: iteration {iteration} is saved to {path}; --resume goes on from there '
            f'(the same command with --resume, and --work-dir {runner.work_dir})'
        )
        barrier()  # launchers kill the others as soon as one exits, and the main process may still be writing
        raise SystemExit(PREEMPTED_STATUS if name == 'SIGTERM' else INTERRUPTED)


@functools.cache
def _free_forks() -> None:
    """In forks of a training SIGTERM has its usual effect: mmdet's VOCMetric ends its own so, and waits for them.

    Ctrl-C, which goes to all processes of a terminal, has none there: what they do is finished first.
    """
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_release_in_fork)


def _is_handled() -> bool:
    return isinstance(getattr(signal.getsignal(signal.SIGTERM), '__self__', None), PreemptionHook)


def _hold() -> None:
    if _is_handled():  # else Python forgets a signal that reaches a fork before its first line
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def _release() -> None:
    if _is_handled():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _release_in_fork() -> None:
    if _is_handled():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, lambda *_: None)  # not SIG_IGN, which the programs that a fork starts would keep
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
