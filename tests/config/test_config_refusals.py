"""Configs of old forms, lists of files, and metrics that would fail after an epoch: one message that says the way."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from se_mm import SeMmError
from se_mm.config.load import load_config
from se_mm.config.refusals import check_metrics

NEW = "model = dict(type='FasterRCNN', backbone=dict(type='ResNet', depth=50))\n"
OLD = {
    'data = dict(samples_per_gpu=2, train=dict(type="CocoDataset"))\nevaluation = dict(interval=1)': 'val_evaluator',
    'optimizer = dict(type="SGD", lr=0.1)\noptimizer_config = dict(grad_clip=None)': 'optim_wrapper.optimizer',
    'lr_config = dict(policy="step", step=[8, 11])\nimg_norm_cfg = dict(mean=[1, 2, 3])': 'param_scheduler',
    'runner = dict(type="EpochBasedRunner", max_epochs=12)': 'EpochBasedTrainLoop',
    'total_epochs = 12\ncheckpoint_config = dict(interval=1)': 'default_hooks.checkpoint',
}


@pytest.mark.parametrize('text', OLD)
def test_an_old_config_is_named_as_one_with_what_its_keys_are_today(text, tmp_path):
    (tmp_path / 'old.py').write_text(f'{NEW}{text}\n')
    with pytest.raises(SeMmError, match=f'old.py is a config of mmdet 2.x or mmcls, .*{OLD[text]}'):
        load_config(str(tmp_path / 'old.py'))


def test_a_config_of_today_that_keeps_an_old_name_is_read(tmp_path):
    text = (
        f'{NEW}img_norm_cfg = dict(mean=[0.0])\noptimizer = 1\ntest_dataloader = dict(dataset=dict(type="CocoDataset"))'
    )
    (tmp_path / 'new.py').write_text(text)
    assert load_config(str(tmp_path / 'new.py')).model.type == 'FasterRCNN'


@pytest.mark.parametrize('key', ['ann_file', 'data_root'])
@pytest.mark.parametrize('wrap', ['{}', 'dict(type="RepeatDataset", times=2, dataset={})'])
def test_a_list_of_files_is_answered_with_lines_that_work(key, wrap, tmp_path):
    dataset = f'dict(type="CocoDataset", {key}=["a", "b"])'
    (tmp_path / 'lists.py').write_text(f'{NEW}train_dataloader = dict(batch_size=2, dataset={wrap.format(dataset)})')
    with pytest.raises(SeMmError, match=f'{key} of the train data is a list, a, b.*type=.ConcatDataset') as error:
        load_config(str(tmp_path / 'lists.py'))
    lines = str(error.value).partition('write ')[2].replace(', ...', '')
    (tmp_path / 'mended.py').write_text(f'_base_ = "base.py"\n{lines}')
    (tmp_path / 'base.py').write_text(f'{NEW}train_dataloader = dict(batch_size=2, dataset=dict(type="CocoDataset"))')
    assert [d[key] for d in load_config(str(tmp_path / 'mended.py')).train_dataloader.dataset.datasets] == ['a', 'b']


@pytest.mark.parametrize(
    ('metric', 'option'),
    [
        (dict(metric='proposal_fast'), 'val_evaluator.metric=proposal'),
        (dict(metric=['bbox', 'proposal_fast']), 'val_evaluator.metric=proposal'),
        (dict(metric='proposal', proposal_nums=(300,)), 'val_evaluator.proposal_nums=300,300,300'),
        (dict(metric='proposal', proposal_nums=(10, 50)), 'val_evaluator.proposal_nums=10,50,50'),
    ],
)
@pytest.mark.parametrize('listed', [False, True])
def test_metrics_that_fail_at_their_end_are_refused_before_the_training(metric, option, listed):
    evaluator = dict(type='CocoMetric', ann_file='a.json', **metric)
    cfg = Config(dict(val_evaluator=[evaluator] if listed else evaluator))
    with pytest.raises(SeMmError, match=option):
        check_metrics(cfg, 'val')
    for good in (dict(metric='proposal'), dict(metric='bbox', proposal_nums=(300,)), dict(metric=['bbox', 'segm'])):
        check_metrics(Config(dict(val_evaluator=dict(type='CocoMetric', **good))), 'val')
    check_metrics(cfg, 'train')
