"""The configs of a pair differ in attention, and in the weights that they start from."""

from __future__ import annotations

import re

import pytest
from support.helpers import REPOSITORY

from se_mm.config.differences import differences
from se_mm.config.load import load_config
from se_mm.config.pretrained import named_weights

TYPE = {'model.backbone.type'}
TARGETS = {
    'resnet18_scenes': 'demo/resnet18_scenes',
    'faster_rcnn_r18_bccd': 'demo/faster_rcnn_r18_bccd',
    'faster_rcnn_r18_shapes': 'transfer/faster_rcnn_r18_shapes_wide',
}


def read(name: str):
    return load_config(str(REPOSITORY / f'configs/{name}.py'))


def weights_of(cfg) -> str:
    (name,) = named_weights(cfg).values()
    return name


def twins() -> dict[str, str]:
    """Names of configs with SE, and of those without it where there are any."""
    folder = REPOSITORY / 'configs'
    names = [path.relative_to(folder).with_suffix('').as_posix() for path in sorted(folder.rglob('*se_*.py'))]
    pairs = {
        name: re.sub(r'(^|[/_])se_', r'\1', name) for name in names if not name.startswith(('_base_', 'ablations'))
    }
    return {se: plain for se, plain in pairs.items() if (folder / f'{plain}.py').exists()}


@pytest.mark.parametrize(('twin', 'plain'), twins().items())
def test_a_twin_differs_by_its_backbone_alone(twin, plain):
    se, plain = read(twin), read(plain)
    host = plain.model.backbone.type.rpartition('.')[2]
    if (
        plain.model.backbone.type == 'se_mm.SETwin'
    ):  # a twin without attention, since only those read its weights' names
        assert plain.model.backbone.pop('attention_stages') == ()
        assert se.model.backbone.pop('attention_stages') is None
    elif se.model.backbone.type == 'se_mm.SETwin':
        library, _, name = se.model.backbone.pop('host').rpartition('.')
        assert name == host or (library == 'timm' and host.startswith('Timm'))
    else:
        assert se.model.backbone.type == f'se_mm.SE{host}'
    for cfg in (se, plain):
        for key in ('type', 'init_cfg', 'style', 'stem_pool'):  # the last three: the weights, and what they need
            cfg.model.backbone.pop(key, None)
        cfg.pop('work_dir')
        cfg.pop('checkpoint', None)  # a variable of those in configs/transfer, for init_cfg
    assert se.to_dict() == plain.to_dict()


@pytest.mark.parametrize(
    ('pair', 'plain', 'se'),
    [
        ('a1', 'timm://resnet50.a1_in1k', 'timm://seresnet50.a1_in1k'),
        ('4x2', 'mmcls://resnet50', 'mmcls://se-resnet50'),
    ],
)
def test_the_pairs_of_one_recipe_on_coco_have_its_weights(pair, plain, se):
    assert [weights_of(read(f'faster_rcnn_{host}_{pair}_coco')) for host in ('r50', 'se_r50')] == [plain, se]


def test_the_pair_of_caffes_style_has_its_pixels_and_strides():
    plain, se = read('faster_rcnn_r50_caffe_coco'), read('faster_rcnn_se_r50_coco')
    assert plain.model.backbone.style == se.model.backbone.style == 'caffe'
    assert plain.model.data_preprocessor.std == [1.0, 1.0, 1.0]
    pixels = {f'model.data_preprocessor.{key}' for key in ('mean', 'std', 'bgr_to_rgb')}
    assert set(differences(plain, se)) == TYPE | {'model.backbone.stem_pool'} | pixels


@pytest.mark.parametrize('target', TARGETS)
def test_the_networks_of_the_study_differ_in_what_they_start_from(target, monkeypatch):
    monkeypatch.setenv('SE_MM_SEED', '2')
    monkeypatch.setenv('SE_MM_TINYIN100', '/runs')
    twin = target.replace('resnet18', 'se_resnet18').replace('rcnn_r18', 'rcnn_se_r18')
    scratch, plain = read(TARGETS[target]), read(f'transfer/{target}_pretrained')
    identity, se = read(f'transfer/{twin}_identity'), read(f'transfer/{twin}_pretrained')
    assert not named_weights(scratch)
    assert weights_of(plain) == weights_of(identity) == '/runs/resnet18_tinyin100/seed_2/epoch_6.pth'
    assert weights_of(se) == '/runs/se_resnet18_tinyin100/seed_2/epoch_6.pth'
    assert not differences(scratch, plain)
    assert not differences(identity, se)
    assert set(differences(plain, se)) == TYPE
    # The name of the checkpoint is that of the last epoch.
    assert read('transfer/resnet18_tinyin100').train_cfg.max_epochs == 6
