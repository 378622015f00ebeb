"""Trainings of several configs with several seeds, each in a process of its own."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from mmengine.config import Config

from ...config.differences import data_roots, differences, differing
from ...config.pretrained import named_weights
from ...errors import USER_ERROR, SeMmError, listed
from .runs import read_run

#: What the configs can use of the training that they are read for: ``'{{$SE_MM_SEED:0}}'``.
SEED_VARIABLE = 'SE_MM_SEED'
#: Both streams of a training's process.
CONSOLE = 'console.txt'
_GPUS = 'CUDA_VISIBLE_DEVICES'


@dataclass(frozen=True)
class Training:
    """One to do, or done already."""

    name: str  # of the config
    seed: int
    work_dir: Path
    arguments: tuple[str, ...]  # of ``tools/train.py``, without seed and work_dir


def state_of(training: Training, asked: Config) -> str:
    """``'finished'``, ``'interrupted'`` or ``'new'``.

    Raises:
        SeMmError: if its work_dir holds a training of another config than the one asked for, other weights or data.
    """
    there = read_run(training.work_dir)
    if there is None:
        return 'new'
    other = differences(there.cfg, asked)
    if there.knows_weights:
        other |= differing(there.weights, named_weights(asked))
    roots = data_roots(there.cfg), data_roots(asked)
    if roots[0] != roots[1] and all(Path(root).is_dir() for root in roots[0]):  # else they were moved
        other['data_root'] = tuple(', '.join(each) or None for each in roots)
    if other:
        keys = listed([f'{key} is {a!r} there and {b!r} here' for key, (a, b) in other.items()], 3)
        raise SeMmError(
            f'{training.work_dir} holds a training of another config: {keys}; name another --work-dir, or delete it'
        )
    return 'finished' if there.done >= there.length else 'interrupted'


def run_all(trainings: Sequence[Training], states: Sequence[str], jobs: int, gpus: int) -> None:
    """Trains what is not finished, and prints a line for each.

    Args:
        trainings: in the order in which they are begun.
        states: of each, from :func:`state_of`.
        jobs: how many run at the same time; with more than one each has one of the GPUs.
        gpus: how many this machine has.

    Raises:
        SeMmError: if one fails, with the end of what it printed. Those that run go on to their end.
    """
    slots: SimpleQueue[int] = SimpleQueue()
    for slot in range(jobs):
        slots.put(slot)
    failed: list[Training] = []
    to_do, took = sum(state != 'finished' for state in states), []  # seconds of those that were done

    def do(number: int, training: Training, state: str) -> None:
        if failed:
            return
        slot = slots.get()
        try:
            doing = {'finished': 'finished already', 'interrupted': 'goes on', 'new': 'training'}[state]
            print(f'{training.name}, seed {training.seed} ({number} of {len(trainings)}): {doing}', flush=True)
            if state != 'finished':
                begun = time.monotonic()
                _train(training, {_GPUS: _gpu(slot, gpus)} if gpus and jobs > 1 else {})
                took.append(time.monotonic() - begun)
                left = sum(took) / len(took) * (to_do - len(took)) / jobs
                spent, left = (datetime.timedelta(seconds=round(seconds)) for seconds in (took[-1], left))
                print(f'{training.name}, seed {training.seed}: took {spent}, about {left} left', flush=True)
        except BaseException:
            failed.append(training)
            raise
        finally:
            slots.put(slot)

    with ThreadPoolExecutor(jobs) as pool:
        each = pool.map if jobs > 1 else map
        list(each(do, range(1, len(trainings) + 1), trainings, states))  # leaving waits for those that run


def _train(training: Training, variables: dict[str, str]) -> None:
    training.work_dir.mkdir(parents=True, exist_ok=True)
    seed, console = str(training.seed), training.work_dir / CONSOLE
    command = ['train', *training.arguments, '--work-dir', str(training.work_dir), '--seed', seed, '--resume']
    status = start_process(command, {SEED_VARIABLE: seed, **variables}, console)
    if status:
        how = 'was refused' if status == USER_ERROR else f'ended with status {status}'
        printed = console.read_text(errors='replace').strip().splitlines()
        last = printed[-1].removeprefix('error: ') if printed else 'it printed nothing'
        raise SeMmError(
            f'{training.name} with seed {seed} {how}: {last} ({console}); the same command goes on from there'
        )


def start_process(arguments: list[str], variables: dict[str, str], console: Path) -> int:
    """Runs ``se-mm`` in a new interpreter, adds its output to a file, and returns its exit status.

    Ctrl-C reaches it too; it saves its state, and :func:`run_all` waits for it.
    """
    # This package, and not a folder of its name in the current one, which is first in the path.
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[3]), os.environ.get('PYTHONPATH'))))
    command, env = [sys.executable, '-m', 'se_mm', *arguments], os.environ | {'PYTHONPATH': path} | variables
    with console.open('a') as out:
        return subprocess.call(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env)


def _gpu(slot: int, gpus: int) -> str:
    visible = [name for name in os.environ.get(_GPUS, '').split(',') if name] or [str(i) for i in range(gpus)]
    return visible[slot % len(visible)]
