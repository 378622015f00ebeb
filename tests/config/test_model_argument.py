"""A checkpoint in the place of a config: it holds the one that it was trained with."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config

from se_mm import SeMmError
from se_mm.config.load import load_config
from se_mm.config.model_argument import config_in, named, use_trained

CONFIGS = [
    'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py',
    'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
    'se_mm::faster_rcnn_se_r50_coco.py',
]


def checkpoint_of(cfg, path):
    meta = {'cfg': cfg.pretty_text, 'experiment_name': 'mine_20260101_120000'}
    torch.save({'state_dict': {'weight': torch.zeros(1)}, 'meta': meta}, path)
    return str(path)


@pytest.mark.parametrize('name', CONFIGS)
def test_the_config_in_a_checkpoint_is_the_config(name, tmp_path):
    cfg = load_config(name)
    cfg.odd = {'two words': (1,), 'ratio': -float('inf'), 'nested': [dict(a=[(1, 2)], **{'b c': None})]}
    found = config_in(checkpoint_of(cfg, tmp_path / 'epoch_1.pth'))
    assert found.to_dict() == {key: value for key, value in cfg.to_dict().items() if key not in _START}
    assert load_config(str(tmp_path / 'epoch_1.pth')).work_dir == 'work_dirs/mine'


_START = ('work_dir', 'load_from', 'resume', 'launcher')


@pytest.mark.parametrize('text', ['model = __import__("os").getcwd()', 'import os', 'model = dict(type=print("x"))'])
def test_nothing_in_it_is_run(text, tmp_path, capsys):
    torch.save({'state_dict': {'weight': torch.zeros(1)}, 'meta': {'cfg': text}}, tmp_path / 'epoch_1.pth')
    with pytest.raises(SeMmError, match='cannot be read'):
        config_in(str(tmp_path / 'epoch_1.pth'))
    assert not capsys.readouterr().out


def test_one_that_holds_none_says_what_is_needed(tmp_path):
    torch.save({'state_dict': {'weight': torch.zeros(1)}}, tmp_path / 'timm.pth')
    with pytest.raises(SeMmError, match='does not hold the config of its training'):
        load_config(str(tmp_path / 'timm.pth'))
    assert use_trained(Config(dict(model=dict(depth=50))), str(tmp_path / 'timm.pth')) == []


def test_what_decides_on_the_results_is_the_trainings(tmp_path):
    """The network, the normalisation and the size of the pictures; how it is tested stays the config's."""
    name = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
    trained, cfg = load_config(name), load_config(name)
    trained.model.backbone.depth = 101
    trained.model.data_preprocessor.mean = [0.0, 0.0, 0.0]
    for loader in ('val_dataloader', 'test_dataloader', 'train_dataloader'):
        trained[loader].dataset.pipeline[-3 if loader != 'train_dataloader' else 2].scale = (224, 160)
    cfg.model.test_cfg.max_per_img = 7
    file = checkpoint_of(trained, tmp_path / 'epoch_1.pth')
    (said,) = use_trained(cfg, file)
    assert cfg.model.backbone.depth == 101
    assert cfg.model.data_preprocessor.mean == [0.0, 0.0, 0.0]
    assert [node.get('scale') for node in cfg.test_dataloader.dataset.pipeline if node.type == 'Resize'] == [(224, 160)]
    for part in ('model.backbone.depth 101, not 50', 'data_preprocessor.mean', 'pictures of 224x160, not 1333x800'):
        assert part in said
    assert cfg.model.test_cfg.max_per_img == 7
    assert use_trained(cfg, file) == []  # nothing is left that differs


def test_words_are_told_apart(tmp_path):
    (tmp_path / 'epoch_1.pth').touch()
    (tmp_path / 'best_coco_bbox_mAP_epoch_1.pth').touch()
    (tmp_path / 'epoch_2.pth').touch()
    assert named([str(tmp_path), 'photos']).weights == str(tmp_path / 'best_coco_bbox_mAP_epoch_1.pth')
    assert named(['MODEL.onnx', 'cfg.py']) == ('cfg.py', 'MODEL.onnx', [])
    assert named(['cfg.py', 'MODEL.onnx', 'a.jpg']) == ('cfg.py', 'MODEL.onnx', ['a.jpg'])
    assert named(['https://host/a.pth', 'a.jpg']) == (None, 'https://host/a.pth', ['a.jpg'])
    with pytest.raises(SeMmError, match='no checkpoint is named'):
        named(['cfg.py'])
