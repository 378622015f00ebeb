"""Each training has a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from se_mm import SeMmError
from se_mm.engine.resume import resume
from se_mm.engine.run_folder import own_folder, point_to_newest


def taken(work_dir, resume=None, leaves=('epoch_1.pth', 'cfg.py')):
    cfg = Config(dict(work_dir=str(work_dir)))
    if work_dir == 'work_dirs/cfg':
        cfg = Config(dict(work_dir=work_dir), cfg_text='x', filename='cfg.py')
    with own_folder(cfg, resume):
        for name in leaves:
            Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
            Path(cfg.work_dir, name).touch()
        point_to_newest(cfg.work_dir)
    return cfg.work_dir


def test_trainings_of_one_config_are_numbered_and_the_last_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = 'work_dirs/cfg'
    assert [taken(base), taken(base)] == [f'{base}/run1', f'{base}/run2']
    assert Path(base, 'last').resolve() == Path(base, 'run2').resolve()
    assert taken(base, 'auto') == f'{base}/run2'
    assert taken(base, f'{base}/run1/epoch_1.pth') == f'{base}/run1'
    assert taken(base, leaves=()) == f'{base}/run3'
    assert taken(base, 'auto') == f'{base}/run2'  # which has a checkpoint


def test_a_folder_that_is_named_is_used_once(tmp_path):
    mine = tmp_path / 'mine'
    assert taken(mine) == str(mine)
    assert taken(mine, 'auto') == str(mine)
    assert taken(mine) == str(mine / 'run2')
    assert taken(mine, 'auto') == str(mine / 'run2')


def test_a_start_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for work_dir in ('work_dirs/cfg', 'mine'):
        cfg = Config(dict(work_dir=work_dir), cfg_text='x', filename='cfg.py')
        folder = own_folder(cfg, None)
        folder.__enter__()
        Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)
        Path(cfg.work_dir, 'skipped_data.jsonl').touch()
        assert not folder.__exit__(SeMmError, SeMmError('no data'), None)
        assert not Path(cfg.work_dir).exists()


SETUP = dict(
    model=dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18)),
    train_dataloader=dict(dataset=dict(type='CustomDataset', data_root='kangaroos', pipeline=[])),
    val_dataloader=dict(dataset=dict(type='CustomDataset', pipeline=[dict(type='ResizeEdge', scale=64)])),
    randomness=dict(seed=None),
)


@pytest.mark.parametrize(
    ('key', 'value', 'named'),
    [
        ('model.backbone.depth', 34, 'model.backbone.depth was 18 and is 34'),
        ('train_dataloader.dataset.data_root', 'raccoons', r'the data was .*kangaroos. and is .*raccoons'),
        ('val_dataloader.dataset.pipeline.0.scale', 96, 'the size'),
    ],
)
def test_a_training_goes_on_with_its_own_set_up_alone(key, value, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('kangaroos').mkdir()
    cfg = Config(dict(**SETUP, work_dir='.'))
    meta = dict(cfg=cfg.pretty_text, epoch=1, iter=1)
    content = dict(state_dict={'w': torch.zeros(1)}, meta=meta, message_hub={}, optimizer={})
    torch.save(content, 'epoch_1.pth')
    resume(cfg, 'auto')
    assert cfg.load_from == 'epoch_1.pth'
    cfg.merge_from_dict({key: value})
    with pytest.raises(SeMmError, match=f'of another set-up: {named}'):
        resume(cfg, 'auto')
