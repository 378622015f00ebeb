"""Two machines, as two network namespaces with an address each: a training across them, and one of them cut off."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.helpers import REPOSITORY
from support.small import draw_shapes
from test_data_faults import BOXES

pytestmark = pytest.mark.soak
MACHINES = {'se_mm_a': '10.213.77.1', 'se_mm_b': '10.213.77.2'}
LINK = 'se_mm_link'


def ip(*args: str, check: bool = True) -> None:
    subprocess.run(['ip', *args], check=check, capture_output=True)


@pytest.fixture
def machines():
    if os.geteuid() or not shutil.which('ip'):
        pytest.skip('network namespaces need root and iproute2')
    for name in MACHINES:
        ip('netns', 'del', name, check=False)
    try:
        for name in MACHINES:
            ip('netns', 'add', name)
        ip('link', 'add', LINK, 'netns', 'se_mm_a', 'type', 'veth', 'peer', 'name', LINK, 'netns', 'se_mm_b')
    except subprocess.CalledProcessError as error:
        pytest.skip(f'this kernel makes no network namespaces: {error.stderr.decode()}')
    for name, address in MACHINES.items():
        for command in (
            ['addr', 'add', f'{address}/24', 'dev', LINK],
            ['link', 'set', LINK, 'up'],
            ['link', 'set', 'lo', 'up'],
        ):
            ip('-n', name, *command)
    yield
    for name in MACHINES:
        ip('netns', 'del', name, check=False)


CONFIG = """
env_cfg = dict(dist_cfg=dict(timeout=20))
custom_imports = dict(imports=['se_mm', 'support.faults'], allow_failed_imports=False)
custom_hooks = [dict(type='SlowDown', seconds=0.3)]
train_cfg = dict(max_epochs=6, val_interval=6)
default_hooks = dict(checkpoint=dict(interval=4, by_epoch=False, max_keep_ckpts=2))
"""


@pytest.fixture
def config(tmp_path) -> Path:
    draw_shapes(tmp_path / 'data', train=40, val=4)
    (tmp_path / 'base.py').write_text(BOXES.format(repository=REPOSITORY, workers=0))
    return tmp_path / 'base.py'


def torchrun(machine: str, config: Path, *options: str) -> subprocess.Popen:
    """What README tells to run on each machine."""
    is_host = machine == 'se_mm_a'  # a namespace has no host name of its own to be known by
    launcher = (
        f'ip netns exec {machine} {sys.executable} -m torch.distributed.run --nproc-per-node 1 --rdzv-id job '
        f'--rdzv-backend c10d --rdzv-endpoint {MACHINES["se_mm_a"]}:29400 --rdzv-conf is_host={int(is_host)} '
        f'--local-addr {MACHINES[machine]}'
    )
    tool = f'{REPOSITORY}/tools/train.py {config} --launcher pytorch --resume auto --seed 0'
    folders = f'--data-root {config.parent}/data --work-dir {config.parent}/out'
    environment = os.environ | {
        'OMP_NUM_THREADS': '1',
        'PYTHONPATH': str(REPOSITORY / 'tests'),
        'GLOO_SOCKET_IFNAME': LINK,
        'TP_SOCKET_IFNAME': LINK,
    }
    command = [*launcher.split(), *options, *tool.split(), *folders.split()]
    log = (config.parent / f'{machine}.log').open('w')
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def said(config: Path) -> str:
    return '\n'.join((config.parent / f'{machine}.log').read_text() for machine in MACHINES)


def wait_for(condition, seconds: int, config: Path) -> None:
    for _ in range(seconds * 2):
        if condition():
            return
        time.sleep(0.5)
    raise AssertionError(said(config)[-4000:])


@pytest.mark.fault(
    'one of two machines is cut off the network in mid-epoch', 'torchrun goes on with the other, from the checkpoint'
)
def test_one_machine_is_cut_off(machines, config):
    more = config.with_name('cut_off.py')
    more.write_text(f'_base_ = {str(config)!r}\n{CONFIG}')
    agents = [torchrun(machine, more, '--nnodes', '1:2', '--max-restarts', '5') for machine in MACHINES]
    out = config.parent / 'out'
    try:
        wait_for(lambda: list(out.glob('iter_*.pth')), 120, config)
        ip('-n', 'se_mm_b', 'link', 'set', LINK, 'down')
        assert agents[0].wait(300) == 0, said(config)[-6000:]
    finally:
        for agent in agents:
            agent.kill()
    text = (config.parent / 'se_mm_a.log').read_text()
    assert 'resumed epoch' in text
    final = max(out.glob('iter_*.pth'), key=lambda file: int(file.stem.partition('_')[2]))
    assert str(final) == (out / 'last_checkpoint').read_text()
    assert 'Epoch(val) [6]' in text
