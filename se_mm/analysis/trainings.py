"""Trainings of several configs with several seeds, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from mmengine.config import Config

from ..config.pretrained import named_weights
from ..engine.hooks.checkpoint import latest_checkpoint
from ..errors import USER_ERROR, SeMmError, listed
from .runs import PREDICTIONS, data_roots, differences, differing, read_run
from .work_dirs import config_of, starts_of

#: What the configs can use of the training that they are read for: ``'{{$SE_MM_SEED:0}}'``.
SEED_VARIABLE = 'SE_MM_SEED'
#: Both streams of a training's process.
CONSOLE = 'console.txt'
_GPUS = 'CUDA_VISIBLE_DEVICES'


@dataclass(frozen=True)
class Training:
    """One to do, or done already.

    Attributes:
        name: of the config.
        seed: of its random numbers.
        work_dir: where it is.
        arguments: of ``tools/train.py``, the config first, without seed and work_dir.
        test_arguments: of ``tools/test.py``, the config first, without checkpoint and work_dir.
    """

    name: str
    seed: int
    work_dir: Path
    arguments: tuple[str, ...]
    test_arguments: tuple[str, ...]

    def train_command(self) -> list[str]:
        """What ``se-mm`` is called with."""
        return ['train', *self.arguments, '--work-dir', str(self.work_dir), '--seed', str(self.seed), '--resume']

    def test_command(self, checkpoint: str) -> list[str]:
        """The same for the evaluation that keeps the predictions."""
        out, work_dir = self.work_dir / PREDICTIONS, self.work_dir / 'test'
        config, *rest = self.test_arguments
        return ['test', config, checkpoint, *rest, '--work-dir', str(work_dir), '--out', str(out)]


def state_of(training: Training, asked: Config) -> str:
    """``'finished'``, ``'interrupted'`` or ``'new'``.

    Args:
        training: its work_dir is looked at.
        asked: the config that it is to have.

    Raises:
        SeMmError: if there is a training of another config.
    """
    starts = starts_of(training.work_dir)
    there = config_of(training.work_dir, starts)
    if there is None:
        return 'new'
    other = differences(there, asked)
    if starts and starts[0].is_first:  # else the weights are not known: one that resumes names none
        other |= differing(named_weights(starts[0].cfg), named_weights(asked))
    roots = data_roots(there), data_roots(asked)
    if roots[0] != roots[1] and all(Path(root).is_dir() for root in roots[0]):  # else they were moved
        other['data_root'] = tuple(', '.join(each) or None for each in roots)
    if other:
        said = listed([f'{key} is {a!r} there and {b!r} here' for key, (a, b) in other.items()], 3)
        raise SeMmError(
            f'{training.work_dir} holds a training of another config: {said}; name another --work-dir, or delete it'
        )
    try:
        return 'finished' if read_run(training.work_dir, starts).is_finished else 'interrupted'
    except SeMmError:  # cut off before its first validation
        return 'interrupted'


def run_all(
    trainings: Sequence[Training],
    states: Sequence[str],
    jobs: int,
    gpus: int,
    say: Callable[[str], None],
    start: Callable[[list[str], dict[str, str], Path], int] | None = None,
) -> None:
    """Trains what is not finished, and evaluates what has no predictions.

    Args:
        trainings: in the order in which they are begun.
        states: of each, from :func:`state_of`.
        jobs: how many run at the same time.
        gpus: how many this machine has; with more than one job each has one of them.
        say: prints a line.
        start: runs ``se-mm`` with these arguments and these variables more, its output in that file; returns its
            status.

    Raises:
        SeMmError: if one fails, with the end of what it printed. Those that run go on to their end.
    """
    start = start or start_process
    slots: SimpleQueue[int] = SimpleQueue()
    for slot in range(jobs):
        slots.put(slot)
    stopped: list[bool] = []

    def do(number: int, training: Training, state: str) -> None:
        if stopped:
            return
        slot = slots.get()
        try:
            where = f'{training.name}, seed {training.seed} ({number} of {len(trainings)})'
            more = {SEED_VARIABLE: str(training.seed)}
            if gpus and jobs > 1:
                more[_GPUS] = _gpu(slot, gpus)
            training.work_dir.mkdir(parents=True, exist_ok=True)
            if state == 'finished':
                say(f'{where}: finished already')
            else:
                say(f'{where}: {"goes on" if state == "interrupted" else "training"}')
                _check(training, start(training.train_command(), more, training.work_dir / CONSOLE))
            checkpoint = latest_checkpoint(training.work_dir, say=False)
            if checkpoint is None:
                say(f'{where}: no checkpoint to evaluate')
            elif _is_older(training.work_dir / PREDICTIONS, Path(checkpoint)):
                status = start(training.test_command(checkpoint), more, training.work_dir / CONSOLE)
                if status == USER_ERROR:  # its figure is known from the last validation
                    say(f'{where}: no predictions: {_last_words(training)}')
                else:
                    _check(training, status)
        except BaseException:
            stopped.append(True)
            raise
        finally:
            slots.put(slot)

    numbered = list(enumerate(zip(trainings, states, strict=True), start=1))
    if jobs == 1:
        for i, each in numbered:
            do(i, *each)
        return
    with ThreadPoolExecutor(jobs) as pool:
        todo = [pool.submit(do, i, *each) for i, each in numbered]
        for each in todo:  # in their order; leaving waits for those that run
            each.result()


def start_process(arguments: list[str], variables: dict[str, str], console: Path) -> int:
    """Runs ``se-mm`` in a new interpreter; Ctrl-C reaches it too, and it is waited for while it saves its state."""
    with console.open('a') as out:
        process = subprocess.Popen(
            [sys.executable, '-m', 'se_mm', *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | variables,
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise


def _check(training: Training, status: int) -> None:
    if status:
        how = 'was refused' if status == USER_ERROR else f'ended with status {status}'
        raise SeMmError(
            f'{training.name} with seed {training.seed} {how}: {_last_words(training)} '
            f'({training.work_dir / CONSOLE}); the same command goes on from there'
        )


def _last_words(training: Training) -> str:
    lines = (training.work_dir / CONSOLE).read_text(errors='replace').splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return said[-1].removeprefix('error: ') if said else 'it printed nothing'


def _is_older(file: Path, than: Path) -> bool:
    return not file.is_file() or (than.is_file() and file.stat().st_mtime < than.stat().st_mtime)  # it may be a URL


def _gpu(slot: int, gpus: int) -> str:
    visible = [name for name in os.environ.get(_GPUS, '').split(',') if name] or [str(i) for i in range(gpus)]
    return visible[slot % len(visible)]
