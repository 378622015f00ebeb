"""Checkpoints are written atomically, by the hook that asks for it and by nobody else."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
import torch
from mmengine.fileio import LocalBackend, get_file_backend
from support.small import draw_scenes, run, scene_config

from se_mm.engine.hooks.checkpoint import BACKEND, AtomicBackend
from se_mm.engine.resume import latest_checkpoint
from se_mm.utils.atomic import PART, write_atomic
from se_mm.weights.files import read_checkpoint


def test_only_the_named_backend_is_ours(tmp_path):
    assert type(get_file_backend(str(tmp_path))) is LocalBackend
    assert type(get_file_backend(str(tmp_path), backend_args={'backend': BACKEND})) is AtomicBackend


def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(tmp_path, monkeypatch):
    file = tmp_path / 'a.pth'
    write_atomic(file, b'old')

    def full(self: Path, target: Path) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'replace', full)
    with pytest.raises(OSError, match='No space left'):
        write_atomic(file, b'new')
    assert file.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [file]


def test_a_resumed_training_removes_its_own_files_alone_and_runs_no_text_of_the_checkpoint(tmp_path):
    root = draw_scenes(tmp_path / 'scenes')
    best_of_another = tmp_path / 'best.pth'
    best_of_another.write_bytes(b'weights')
    work_dir = tmp_path / 'a'
    options = {
        'default_hooks.checkpoint.save_best': 'accuracy/top1',
        'default_hooks.checkpoint.interval': 1,
        'default_hooks.checkpoint.max_keep_ckpts': 1,
        'train_cfg.val_interval': 2,
    }
    run(scene_config(root, work_dir, 2, **options))
    assert [file.name for file in work_dir.glob('iter_*')] == ['iter_2.pth']
    killed, host = subprocess.Popen(['true']), socket.gethostname()
    killed.wait()
    (work_dir / f'iter_1.pth.{host}.{killed.pid}{PART}').write_bytes(b'of a process that was killed')
    others = [work_dir / f'best.pth.{host}.{os.getppid()}{PART}', work_dir / f'last.pth.other-machine.7{PART}']
    for other in others:  # of runs that are alive
        other.write_bytes(b'half of it')
    state = read_checkpoint(work_dir / 'iter_2.pth')
    state['message_hub']['runtime_info'].update(best_ckpt=str(best_of_another), best_score=-1.0)
    state['meta']['config'] = f'open({str(tmp_path / "ran")!r}, "w")'
    torch.save(state, work_dir / 'iter_2.pth')
    cfg = scene_config(root, work_dir, 4, **options)
    cfg.update(resume=True, load_from=str(work_dir / 'iter_2.pth'))
    run(cfg)
    assert best_of_another.read_bytes() == b'weights'
    assert [file.name for file in work_dir.glob('iter_*')] == ['iter_4.pth']
    assert (work_dir / 'last_checkpoint').read_text() == str(work_dir / 'iter_4.pth')
    assert not (tmp_path / 'ran').exists()
    assert all(other.exists() for other in others)


def resumable(path: Path) -> str:
    """A file as small as one that a training goes on from can be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = dict(meta=dict(epoch=1, iter=1), message_hub={}, optimizer={}, state_dict=dict(w=torch.ones(1)))
    torch.save(state, path)
    return str(path)


@pytest.mark.fault(
    'the newest checkpoint is cut off, in the out_dir of the CheckpointHook', 'the one before it is used'
)
def test_older_checkpoints_are_looked_for_where_the_newest_is(tmp_path):
    work_dir, out_dir = tmp_path / 'a', tmp_path / 'out' / 'a'
    older, newest = resumable(out_dir / 'epoch_1.pth'), resumable(out_dir / 'epoch_2.pth')
    work_dir.mkdir()
    (work_dir / 'last_checkpoint').write_text(newest)
    assert latest_checkpoint(work_dir) == newest
    Path(newest).write_bytes(Path(newest).read_bytes()[:300])
    assert latest_checkpoint(work_dir) == older


@pytest.mark.fault('last_checkpoint is empty, full of NULs or no text', 'the newest whole checkpoint is used')
@pytest.mark.parametrize('content', [b'', b'\n', b'\0' * 40, b'\xff\xfe/a', b'gone/epoch_3.pth'])
def test_a_last_checkpoint_that_names_nothing(content, tmp_path):
    expected = resumable(tmp_path / 'epoch_1.pth')
    (tmp_path / 'last_checkpoint').write_bytes(content)
    assert latest_checkpoint(tmp_path) == expected


def test_a_checkpoint_of_a_remote_store_is_named_as_it_is(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('s3://bucket/run/epoch_3.pth')
    assert latest_checkpoint(tmp_path) == 's3://bucket/run/epoch_3.pth'
