"""How a tool leaves its process."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from support.commands import Fork
from torch import distributed

from se_mm import SeMmError
from se_mm.cli import process
from se_mm.errors import RunError


def leave(how: str, rank: int, store: Path) -> None:
    """One of two processes that leave a group."""
    left = []
    destroy = distributed.destroy_process_group
    distributed.destroy_process_group = lambda: (left.append(True), destroy())

    def main() -> None:
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
        print('destroyed' if left else 'kept')


def both(tmp_path: Path, how: str) -> list[CompletedProcess]:
    forks = [Fork([], tmp_path, {}, lambda rank=rank: leave(how, rank, tmp_path / 'store')) for rank in range(2)]
    return [fork.ended() for fork in forks]


@pytest.mark.parametrize(
    ('how', 'status', 'group'),
    [('well', 0, 'destroyed'), ('all fail', 2, 'kept'), ('a failure', 1, 'kept'), ('a bug', 1, 'kept')],
)
def test_the_process_group_is_destroyed_on_success_only(tmp_path, how, status, group):
    for done in both(tmp_path, how):
        assert done.returncode == status, done.stderr
        assert done.stdout.split() == [group]
        assert ('Traceback' in done.stderr) == (how == 'a bug')


def test_a_process_that_fails_does_not_wait_for_the_others(tmp_path):
    other, failed = both(tmp_path, 'one fails')
    assert (failed.returncode, failed.stdout.split()) == (2, ['kept'])
    assert 'error: a mistake' in failed.stderr
    assert other.returncode != 0  # its barrier finds that the peer has left


def test_another_signal_does_not_change_the_status_of_a_process_that_leaves(tmp_path):
    def leaves() -> None:
        try:
            process.own(lambda: sys.exit(75))
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    assert Fork([], tmp_path, {}, leaves).ended().returncode == 75
