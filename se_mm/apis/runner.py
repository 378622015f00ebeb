"""From a config to mmengine's Runner, and what goes wrong in it as one message."""

from __future__ import annotations

import contextlib
import copy
import errno
import logging
import os
import re
import sysconfig
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_distributed, master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..compat.checkpoints import log_classes_allowed
from ..engine.hooks.preemption import PreemptionHook
from ..engine.repeatable import Reader
from ..errors import TRACEBACK_VARIABLE, SeMmError, listed
from .mistakes import unexpected_argument, unknown_optimizer

_SE_MM = Path(__file__).parents[1]
#: Where the standard library and what pip installs are.
_LIBRARIES = {Path(path) for path in sysconfig.get_paths().values()}


_NOT_WRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)


def build_runner(cfg: Config, prepare: Callable[[Config], None]) -> Runner:
    """The Runner that the config asks for.

    Args:
        cfg: what the user asks for; the copies in the work_dir and in the checkpoints are of this.
        prepare: what is done to the config that the Runner is built from
            (:func:`se_mm.engine.switches.make_survivable` or ``guard_data``).

    Raises:
        SeMmError: if the config asks for a model, data or hook that cannot be built.
    """
    _make_work_dir(cfg.work_dir)
    prepared = copy.deepcopy(cfg)
    prepare(prepared)
    if is_distributed() and not torch.cuda.is_available():
        _wrap_on_cpu(prepared)
    try:
        runner = RUNNERS.build(prepared) if 'runner_type' in cfg else Runner.from_cfg(prepared)
        runner.cfg = copy.deepcopy(cfg)
        runner.dump_config()
        _dump_for_start(runner)
    except Exception as error:
        raise _explained(error, cfg) from error
    return runner


@master_only
def _dump_for_start(runner: Runner) -> None:
    """Writes the config of this start over the copy that mmengine's visualizer made of the prepared one."""
    copied = Path(runner.log_dir, 'vis_data', 'config.py')
    if copied.is_file():
        runner.cfg.dump(copied)


def _wrap_on_cpu(cfg: Config) -> None:
    """mmengine gives DistributedDataParallel the number of a GPU, unless it is told not to."""
    unused = cfg.get('find_unused_parameters', False)
    wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=unused)
    cfg.model_wrapper_cfg = {**wrapper, **(cfg.get('model_wrapper_cfg') or {}), 'device_ids': None}


def _make_work_dir(work_dir: str) -> None:
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        if not os.access(work_dir, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, 'no permission')
    except OSError as error:
        raise SeMmError(
            f'work_dir {work_dir} cannot be written to: {error.strerror}; --work-dir names another'
        ) from error


def train(runner: Runner) -> None:
    """Trains; what goes wrong before an iteration has gone well is the config's, and said so.

    Raises:
        SeMmError: if the config cannot be built or run, asks for no iteration, a worker dies or
            hangs, or nothing can be written.
    """
    _run(runner, runner.train)


def test(runner: Runner) -> dict[str, float]:
    """Evaluates; see :func:`train`.

    Returns:
        The metrics.
    """
    return _run(runner, runner.test)


class _StartHook(Hook):
    """Refuses a training without iterations, and records when the set-up is over, with the first validation."""

    priority = 'LOWEST'
    is_over = False
    is_validated = False

    def before_run(self, runner: Runner) -> None:
        interval = getattr(runner._train_loop, 'val_interval', 1)
        if runner._val_loop is not None and not (isinstance(interval, int) and interval > 0):
            raise SeMmError(f'train_cfg.val_interval is {interval!r}; expected a whole number above 0')

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        if not len(loop.dataloader) or loop.max_iters <= 0:
            raise SeMmError(
                f'this training has no iteration: {len(loop.dataloader.dataset)} images make {len(loop.dataloader)} '
                f'batches, in {loop.max_epochs} epochs; look at train_cfg, batch_size and drop_last'
            )
        if loop.iter >= loop.max_iters:
            print_log(
                f'the training is at its end already: {loop.iter} of {loop.max_iters} iterations', level=logging.WARNING
            )

    def before_val_epoch(self, runner: Runner) -> None:
        Reader.of(runner.val_dataloader, runner.seed, runner.rank)
        self.is_over = self.is_validated

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        self.is_over = self.is_validated = True

    def before_test_epoch(self, runner: Runner) -> None:
        Reader.of(runner.test_dataloader, runner.seed, runner.rank)

    def after_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        self.is_over = True

    def after_test_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        self.is_over = True


class _MetricsHook(Hook):
    """Refuses the name of a metric that a checkpoint or a schedule waits for, and no validation gives."""

    priority = 'VERY_HIGH'

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        if not metrics or runner._train_loop is None:
            return
        groups = runner.param_schedulers or []
        schedulers = [s for group in groups.values() for s in group] if isinstance(groups, Mapping) else groups
        named = [('param_scheduler.monitor', getattr(scheduler, 'monitor', None)) for scheduler in schedulers]
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and hook.save_best:
                named += [('default_hooks.checkpoint.save_best', name) for name in hook.key_indicators]
        for key, name in named:
            if name not in (None, 'auto', *metrics):
                given = listed(list(metrics))
                raise SeMmError(f'{key} is {name}, which the validation does not give; expected one of {given}')


def _run(runner: Runner, run: Callable[[], Any]) -> Any:
    start = _StartHook()
    runner.register_hook(start)
    runner.register_hook(_MetricsHook())
    try:
        with log_classes_allowed(), _deaths_of_workers():  # what is resumed holds mmengine's log
            return run()
    except RuntimeError as error:
        if 'DataLoader' in str(error) and (reading := _paths_being_read(runner)):
            raise SeMmError(f'{str(error).strip()}; it was reading {listed(reading)}') from error
        if start.is_over:
            raise
        raise _explained(error, runner.cfg) from error
    except Exception as error:
        if start.is_over and not (isinstance(error, OSError) and error.errno in _NOT_WRITABLE):
            raise
        raise _explained(error, runner.cfg) from error
    finally:
        for hook in runner.hooks:
            if isinstance(hook, PreemptionHook):
                hook.after_run(runner)  # mmengine calls it after a success alone


@contextlib.contextmanager
def _deaths_of_workers() -> Iterator[None]:
    """Lets torch tell of a worker that died, in its handler of SIGCHLD, where reading from it has failed before."""
    try:
        yield
    except (EOFError, ConnectionError):
        time.sleep(1)  # which the handler interrupts
        raise


def _explained(error: Exception, cfg: Config) -> Exception:
    """A mistake in what the user gave as one message; a bug, of ours or in a user's own module, as it is."""
    if isinstance(error, SeMmError):
        return error
    if isinstance(error, OSError) and error.errno in _NOT_WRITABLE:
        return SeMmError(f'work_dir {cfg.work_dir} cannot be written to: {error.strerror}')
    if mistake := unexpected_argument(error, cfg) or unknown_optimizer(cfg):
        return mistake
    text = str(error)
    in_worker = re.findall(r'^ *File "(.+?)", line', text, re.MULTILINE)
    frames = map(Path, in_worker or [frame.filename for frame in traceback.extract_tb(error.__traceback__)])
    place = [file for file in frames if file.is_absolute()][-1]  # those of compiled modules are not
    if _SE_MM in place.parents or not any(folder in place.parents for folder in _LIBRARIES):
        return error
    text = ' '.join((text.splitlines()[-1] if in_worker else text).split())
    return SeMmError(
        f'what the config asks for cannot be built or run: {type(error).__name__}: {text[:600]} '
        f'({place}; {TRACEBACK_VARIABLE}=1 shows how it came there)'
    )


def _paths_being_read(runner: Runner) -> list[str]:
    loops = (runner._train_loop, runner._val_loop, runner._test_loop)
    loaders = [loop.dataloader for loop in loops if hasattr(loop, 'dataloader')]
    readers = [getattr(loader.dataset, '__getitems__', None) for loader in loaders]
    return [path for reader in readers if isinstance(reader, Reader) for path in reader.paths_being_read()]
