"""tools/slurm_train.sh under commands that stand in for SLURM's, and the launcher that it uses."""

from __future__ import annotations

import os
import subprocess

import pytest
from support.commands import output, tool
from support.helpers import REPOSITORY
from support.small import draw_scenes, scene_config

SRUN = """#!/bin/sh
echo "srun $*" >> "$SAID"
echo "at $MASTER_ADDR:$MASTER_PORT" >> "$SAID"
exit {status}
"""
SCONTROL = """#!/bin/sh
echo "scontrol $*" >> "$SAID"
[ "$1" = show ] && printf 'node7\\nnode8\\n'
exit 0
"""


def submitted(folder, status: int, *arguments: str) -> tuple[int, list[str]]:
    for name, text in (('srun', SRUN.format(status=status)), ('scontrol', SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    environment = {
        'PATH': f'{folder}:{os.environ["PATH"]}',
        'SAID': str(folder / 'said'),
        'SLURM_JOB_ID': '41',
        'SLURM_JOB_NODELIST': 'node[7-8]',
        'SLURM_SUBMIT_DIR': str(REPOSITORY),
    }
    done = subprocess.run([REPOSITORY / 'tools/slurm_train.sh', *arguments], env=environment, capture_output=True)
    return done.returncode, (folder / 'said').read_text().splitlines()


@pytest.mark.fault('SLURM takes the machines back', 'the job goes back into the queue, and resumes')
def test_a_job_that_was_pre_empted_is_put_back_into_the_queue(tmp_path):
    status, said = submitted(tmp_path, 75, 'configs/a.py', '--work-dir', 'w d')
    assert status == 75
    run = f'{REPOSITORY}/tools/train.py configs/a.py --work-dir w d --launcher slurm --resume auto'
    assert any(line.startswith('srun') and line.endswith(run) for line in said)
    assert 'at node7:20041' in said
    assert said[-1] == 'scontrol requeue 41'


@pytest.mark.parametrize('status', [0, 2])
def test_a_job_that_has_ended_is_not(tmp_path, status):
    found, said = submitted(tmp_path, status, 'configs/a.py')
    assert found == status
    assert not any('requeue' in line for line in said)


def test_without_a_config_it_says_how(tmp_path):
    done = subprocess.run([REPOSITORY / 'tools/slurm_train.sh'], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'usage: sbatch' in done.stderr


def test_the_launcher_on_a_machine_without_a_gpu(tmp_path):
    root = draw_scenes(tmp_path / 'scenes', train=3)
    scene_config(root, tmp_path / 'out', 1).dump(tmp_path / 'config.py')
    slurm = dict(SLURM_PROCID='0', SLURM_NTASKS='1', SLURM_LOCALID='0', MASTER_ADDR='127.0.0.1', MASTER_PORT='29871')
    said = output(tool('train', tmp_path / 'config.py', '--data-root', root, '--launcher', 'slurm', **slurm))
    assert 'Distributed training: True' in said
