"""From a config to mmengine's Runner, and what becomes of an error in it."""

from __future__ import annotations

import copy
import errno
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_rank, is_distributed
from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MMLogger, print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..compat.checkpoints import log_classes_allowed
from ..config.keys import mistake_in
from ..errors import RunError, SeMmError, listed
from ..utils.console import is_quiet, log_file, prints_logged, quiet, say, warn
from .hooks.preemption import PreemptionHook
from .repeatable import Reader
from .run_folder import point_to_newest


class LoggedRunner(Runner):
    """mmengine's Runner: its logger is as quiet as the one before, and what data sets and metrics print is logged."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        was_quiet = is_quiet()
        logger = super().build_logger(*args, **kwargs)
        if was_quiet:
            quiet(logger)
        return logger

    def dump_config(self) -> None:
        """Leaves that to a training that starts (:class:`_ChecksHook`)."""

    @staticmethod
    def build_dataloader(*args: Any, **kwargs: Any) -> DataLoader:
        with prints_logged():
            return Runner.build_dataloader(*args, **kwargs)

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        with prints_logged():
            built = super().build_evaluator(evaluator)
        evaluate = prints_logged()(built.evaluate)

        def with_zeros(size: int) -> dict[str, Any]:
            metrics = evaluate(size)
            return {**_of_nothing(built, metrics), **metrics}

        built.evaluate = with_zeros
        return built


def _of_nothing(evaluator: Evaluator, metrics: Mapping[str, Any]) -> dict[str, float]:
    """The AP of a detector that found no box, about which mmdet's metric gives nothing."""
    empty = {}
    for metric in evaluator.metrics:
        if type(metric).__name__ == 'CocoMetric' and not getattr(metric, 'format_only', False):
            for kind in {'bbox', 'segm'} & {*metric.metrics}:
                names = [f'{metric.prefix}/{kind}_mAP{level}' for level in ('', '_50', '_75')]
                empty |= {name: 0.0 for name in names if not any(key in metrics for key in names)}
    if empty:
        say('no box was found in any picture: AP is 0')
    return empty


def build_runner(
    cfg: Config, prepare: Callable[[Config], None], progress: bool = False, asked: Config | None = None
) -> Runner:
    """The Runner that the config asks for.

    Args:
        cfg: what is run.
        prepare: what is done to the config that the Runner is built from
            (:func:`se_mm.engine.switches.make_survivable` or ``guard_data``).
        progress: whether it shows a summary, a progress line and the metrics.
        asked: what the user asks for, of which the copies in the work_dir and in the checkpoints are (``cfg``).

    Raises:
        SeMmError: if the work_dir cannot be written to, or the config asks for what there is not.
        RunError: if another package fails to build what the config asks for.
    """
    try:
        Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
        if not os.access(cfg.work_dir, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, 'no permission')
    except OSError as error:
        raise SeMmError(
            f'work_dir {cfg.work_dir} cannot be written to: {error.strerror}; --work-dir names another'
        ) from error
    prepared = copy.deepcopy(cfg)
    prepare(prepared)
    if progress:
        prepared.custom_hooks = [*(prepared.get('custom_hooks') or []), dict(type='se_mm.ProgressHook')]
    if is_distributed() and not torch.cuda.is_available():
        # mmengine gives DistributedDataParallel the number of a GPU, unless it is told not to.
        unused = cfg.get('find_unused_parameters', False)
        wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=unused)
        prepared.model_wrapper_cfg = {**wrapper, **(prepared.get('model_wrapper_cfg') or {}), 'device_ids': None}
    with _failures_logged(cfg):
        runner = RUNNERS.build(prepared) if 'runner_type' in cfg else LoggedRunner.from_cfg(prepared)
        runner.cfg = asked or cfg
        copied = Path(runner.log_dir, 'vis_data', 'config.py')  # of the prepared one, by mmengine's visualizer
        if runner.rank == 0 and copied.is_file():
            runner.cfg.dump(copied)
    return runner


def train(runner: Runner) -> None:
    """Trains.

    Raises:
        SeMmError: if the config asks for no iteration or for what does not exist, or a worker dies or hangs.
        RunError: if another package fails; the log file has the traceback.
    """
    _run(runner, runner.train)


def test(runner: Runner) -> dict[str, float]:
    """Evaluates, and returns the metrics; see :func:`train`."""
    return _run(runner, runner.test)


def _run(runner: Runner, run: Callable[[], Any]) -> Any:
    checks = _ChecksHook()
    runner.register_hook(checks)
    try:
        with (
            _failures_logged(runner.cfg, True),
            _workers_named(checks.readers),
            log_classes_allowed(),
        ):  # a log is resumed
            return run()
    finally:
        for hook in runner.hooks:
            if isinstance(hook, PreemptionHook):
                hook.after_run(runner)  # mmengine calls it after a success alone


class _ChecksHook(Hook):
    """Refuses what mmengine would not, and has the reader of each loader."""

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.readers: list[Reader] = []

    def _read(self, runner: Runner, loader: DataLoader) -> None:
        self.readers.append(Reader.of(loader, runner.seed, runner.rank))

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        self._read(runner, loop.dataloader)
        interval = getattr(loop, 'val_interval', 1)
        if runner.val_loop is not None and not (isinstance(interval, int) and interval > 0):
            raise SeMmError(f'train_cfg.val_interval is {interval!r}; expected a whole number above 0')
        if not len(loop.dataloader) or loop.max_iters <= 0:
            raise SeMmError(
                f'this training has no iteration: {len(loop.dataloader.dataset)} images make {len(loop.dataloader)} '
                f'batches, in {loop.max_epochs} epochs; look at train_cfg, batch_size and drop_last'
            )
        if loop.iter >= loop.max_iters:
            warn(f'the training is at its end already: {loop.iter} of {loop.max_iters} iterations')
        Runner.dump_config(runner)
        if runner.rank == 0:
            point_to_newest(runner.work_dir)

    def before_val_epoch(self, runner: Runner) -> None:
        self._read(runner, runner.val_dataloader)

    def before_test_epoch(self, runner: Runner) -> None:
        self._read(runner, runner.test_dataloader)

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        """Refuses the name of a metric that a checkpoint or a schedule waits for, and no validation gives."""
        groups = runner.param_schedulers or []
        schedulers = [s for group in groups.values() for s in group] if isinstance(groups, Mapping) else groups
        named = [('param_scheduler.monitor', getattr(scheduler, 'monitor', None)) for scheduler in schedulers]
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and hook.save_best:
                named += [('default_hooks.checkpoint.save_best', name) for name in hook.key_indicators]
        for key, name in named:
            if metrics and name not in (None, 'auto', *metrics):
                given = listed(list(metrics))
                raise SeMmError(f'{key} is {name}, which the validation does not give; expected one of {given}')


@contextmanager
def _workers_named(readers: list[Reader]) -> Iterator[None]:
    """Names the pictures that workers were reading when one of them died or hung."""
    try:
        yield
    except (RuntimeError, EOFError, ConnectionError) as error:  # torch's word, or the end of a pipe before it
        reading = [path for reader in dict.fromkeys(readers) for path in reader.paths_being_read()]
        if not reading or (isinstance(error, RuntimeError) and 'DataLoader' not in str(error)):
            raise
        what = str(error).strip() or 'a DataLoader worker has ended'
        raise SeMmError(f'{what}; it was reading {listed(reading)}') from error


@contextmanager
def _failures_logged(cfg: Config, is_running: bool = False) -> Iterator[None]:
    """Keeps the traceback of what another package raises in a log file, and raises its last line."""
    try:
        yield
    except SeMmError:
        raise
    except Exception as error:
        whole, file = ''.join(traceback.format_exception(error)), log_file()
        if file:
            print_log(whole, logger='current')
        mistake = mistake_in(cfg, error)
        if mistake and not is_running:
            raise mistake from error
        if not file:  # the logger is not there yet, or this is one of several processes
            file = str(Path(cfg.work_dir, f'traceback_{get_rank()}.log'))
            Path(file).write_text(whole)
        if mistake:  # perhaps: after an hour it may be a bug of another package that sounds like it
            raise SeMmError(f'{mistake} (traceback: {file})') from error
        text = str(error)  # of a worker's error: its traceback
        last = text.strip().splitlines()[-1] if 'Original Traceback' in text else f'{type(error).__name__}: {text}'
        raise RunError(f'{" ".join(last.split())[:600]} (traceback: {file})') from error
