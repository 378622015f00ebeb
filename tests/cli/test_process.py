"""How a tool leaves its process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RANK = """
import sys
from torch import distributed
from se_mm import SeMmError
from se_mm.errors import RunError
from se_mm.cli import process
process.set_up = lambda: None
left = []
destroy = distributed.destroy_process_group
distributed.destroy_process_group = lambda: (left.append(True), destroy())
rank, how, store = int(sys.argv[1]), sys.argv[2], sys.argv[3]

def main():
    distributed.init_process_group('gloo', f'file://{store}', rank=rank, world_size=2)
    distributed.barrier()
    if how == 'all fail' or (how == 'one fails' and rank == 1):
        raise SeMmError('a mistake')
    if how == 'a failure':
        raise RunError('a last line')
    if how == 'a bug':
        raise ZeroDivisionError

try:
    process.own(main)
finally:
    print('destroyed' if left else 'kept', flush=True)
"""


@pytest.mark.parametrize(
    ('how', 'status', 'group'),
    [('well', 0, 'destroyed'), ('all fail', 2, 'kept'), ('a failure', 1, 'kept'), ('a bug', 1, 'kept')],
)
def test_the_process_group_is_destroyed_on_success_only(tmp_path, how, status, group):
    for rank, done in enumerate(both(tmp_path, how)):
        assert done.returncode == status, done.stderr
        assert done.stdout.split() == [group], rank
        assert ('Traceback' in done.stderr) == (how == 'a bug')


def test_a_process_that_fails_does_not_wait_for_the_others(tmp_path):
    other, failed = both(tmp_path, 'one fails')
    assert (failed.returncode, failed.stdout.split()) == (2, ['kept'])
    assert 'error: a mistake' in failed.stderr
    assert other.returncode != 0  # its barrier finds that the peer has left


def test_another_signal_does_not_change_the_status_of_a_process_that_leaves():
    script = (
        'import os, signal, sys\nfrom se_mm.cli import process\nprocess.set_up = lambda: None\n'
        'try: process.own(lambda: sys.exit(75))\nfinally: os.kill(os.getpid(), signal.SIGTERM)'
    )
    assert subprocess.run([sys.executable, '-c', script], capture_output=True).returncode == 75


def both(tmp_path: Path, how: str) -> list[subprocess.CompletedProcess]:
    commands = [[sys.executable, '-c', RANK, str(rank), how, str(tmp_path / 'store')] for rank in range(2)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for command in commands
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *output)
        for process, output in zip(processes, outputs, strict=True)
    ]
