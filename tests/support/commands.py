"""The commands of ``tools/*.py`` as a user calls them: what they print, and their exit status.

A new interpreter needs ten seconds for its imports. Therefore a command runs in a fork of the process of the
tests, which has imported everything: it can be killed, and it leaves no global state behind. CUDA does not work
in a fork; on a machine with a GPU, and with ``fresh=True``, a new interpreter runs the script.
"""

from __future__ import annotations

import faulthandler
import functools
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryFile

import numpy as np
import pytest
import torch
from mmengine.utils import ManagerMixin

from .helpers import REPOSITORY

TIMEOUT = 540
CAN_FORK = sys.platform == 'linux' and not torch.cuda.is_available()
#: For new interpreters: configs import ``support.faults``.
ENVIRONMENT = {'PYTHONPATH': f'{REPOSITORY / "tests"}{os.pathsep}{REPOSITORY}', 'OMP_NUM_THREADS': '1'}


def tool(name: str, *args: object, cwd: Path = REPOSITORY, fresh: bool = False, **environment: str) -> CompletedProcess:
    """Runs ``tools/<name>.py`` with these arguments; ``environment`` adds variables."""
    return _start(name, args, cwd, fresh, environment).ended()


def output(done: CompletedProcess) -> str:
    """What a command printed; fails if its status is not 0."""
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    return said


def group(count: int, name: str, *args: object) -> list[CompletedProcess]:
    """Runs ``tools/<name>.py --launcher pytorch`` in ``count`` processes with the variables that torchrun sets."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        common = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free.getsockname()[1]), 'WORLD_SIZE': str(count)}
    args = (*args, '--launcher', 'pytorch')
    ranks = [common | {'RANK': str(rank), 'LOCAL_RANK': str(rank)} for rank in range(count)]
    started = [_start(name, args, REPOSITORY, False, environment) for environment in ranks]
    return [process.ended() for process in started]


def torchrun(count: int, name: str, *args: object, options: tuple[str, ...] = ()) -> CompletedProcess:
    """Runs ``torchrun --nproc-per-node <count> <options> tools/<name>.py <args> --launcher pytorch``."""
    launcher = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', str(count), *options]
    return Interpreter([*launcher, script(name), *map(str, args), '--launcher', 'pytorch'], REPOSITORY, {}).ended()


def script(name: str) -> str:
    return str(REPOSITORY / 'tools' / f'{name}.py')


def _start(name: str, args: tuple, cwd: Path, fresh: bool, environment: dict[str, str]) -> Fork | Interpreter:
    arguments = [script(name), *map(str, args)]
    return (Fork if CAN_FORK and not fresh else Interpreter)(arguments, cwd, environment)


class Interpreter:
    """A new interpreter that runs a script, in a process group of its own."""

    def __init__(self, arguments: list[str], cwd: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=os.environ | ENVIRONMENT | environment,
            start_new_session=True,
        )

    def ended(self) -> CompletedProcess:
        try:
            stdout, stderr = self.process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        return CompletedProcess(self.process.args, self.process.returncode, stdout, stderr)


class Fork:
    """A fork of this process that runs a command as its script does, or a function, in a process group of its own."""

    def __init__(
        self, arguments: list[str], cwd: Path, environment: dict[str, str], function: Callable[[], None] | None = None
    ) -> None:
        _import_everything()
        self.arguments, self.cwd, self.environment, self.function = arguments, cwd, environment, function
        self.stdout, self.stderr = TemporaryFile('w+'), TemporaryFile('w+')  # noqa: SIM115 (ended() closes them)
        self.process = multiprocessing.get_context('fork').Process(target=self._run)
        self.process.start()

    def _run(self) -> None:
        os.setsid()
        os.dup2(self.stdout.fileno(), 1)
        os.dup2(self.stderr.fileno(), 2)
        faulthandler.dump_traceback_later(TIMEOUT - 10, file=2)  # where it hangs
        sys.stdout, sys.stderr = os.fdopen(1, 'w', buffering=1), os.fdopen(2, 'w', buffering=1)
        sys.argv = self.arguments
        os.environ.update(self.environment)
        os.chdir(self.cwd)
        forget_mmengines_state()
        random.seed()
        np.random.seed()
        torch.seed()
        torch.set_num_threads(1)
        from se_mm.cli import main

        self.function() if self.function else main(Path(self.arguments[0]).stem)

    def ended(self) -> CompletedProcess:
        self.process.join(TIMEOUT)
        if self.process.is_alive():
            os.killpg(self.process.pid, signal.SIGKILL)
            pytest.fail(f'{self.arguments} did not end in {TIMEOUT} s\n{"".join(self._texts())}', pytrace=False)
        return CompletedProcess(self.arguments, self.process.exitcode, *self._texts())

    def _texts(self) -> list[str]:
        texts = []
        for file in (self.stdout, self.stderr):
            with file:
                file.seek(0)
                texts.append(file.read())
        return texts


@functools.cache
def _import_everything() -> None:
    """What every command would import for itself."""
    import mmdet.utils
    import mmpretrain.utils

    import se_mm.apis.infer
    import se_mm.datasets.validation.preflight
    import se_mm.engine.evaluation
    import se_mm.engine.runner
    import se_mm.engine.switches
    import se_mm.models.registered  # noqa: F401

    mmdet.utils.register_all_modules(init_default_scope=False)
    mmpretrain.utils.register_all_modules(init_default_scope=False)


def forget_mmengines_state() -> None:
    """Loggers, message hubs, visualizers and the default scope of the trainings that this process has run."""
    classes: list[type] = [ManagerMixin]
    for cls in classes:
        cls._instance_dict.clear()
        classes += cls.__subclasses__()
