"""What several tools share: the config with the command line laid over it."""

from __future__ import annotations

import argparse

import pytest

from se_mm import SeMmError
from se_mm.cli import train
from se_mm.cli.arguments import config_of

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'


def given(*words, no_pretrained=False):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    words += ('--no-pretrained',) * no_pretrained
    return config_of(parser.parse_args(words))


@pytest.mark.parametrize(
    ('words', 'layer', 'work_dir'),
    [
        (['--se'], None, 'work_dirs/retinanet_r50_fpn_1x_coco_se'),
        (
            ['--attention', 'eca,k_size=[3,5,5,7]'],
            dict(type='se_mm.ECALayer', k_size=[3, 5, 5, 7]),
            'work_dirs/retinanet_r50_fpn_1x_coco_eca',
        ),
        (['--se', '--cfg-options', 'work_dir=mine'], None, 'mine'),
    ],
)
def test_a_twin_has_a_folder_of_its_own(words, layer, work_dir):
    cfg = given(RETINANET, *words)
    assert cfg.model.backbone.type == 'se_mm.SEResNet'
    assert cfg.model.backbone.get('attention') == layer
    assert cfg.work_dir == work_dir


@pytest.mark.parametrize('flag', ['--se', '--attention=eca'])
def test_a_flag_that_would_change_nothing_is_refused(flag):
    with pytest.raises(SeMmError, match=f'{flag.replace("=", " ")} changes nothing'):
        given('se_mm::demo/se_resnet18_scenes.py', flag)


def test_a_twin_without_weights_announces_none(capfd):
    assert given(RETINANET, '--se', no_pretrained=True).model.backbone.init_cfg is None
    out = ''.join(capfd.readouterr())
    assert 'timm://' not in out
    assert 'torchvision://' not in out
