"""--attention: another layer than SE in any config."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config

from se_mm import SeMmError
from se_mm.config.load import load_config
from se_mm.models.attention import LAYERS
from se_mm.swap import plan_swap, swap_backbone
from se_mm.swap.twin_config import has_identity_start

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'


@pytest.fixture(scope='module')
def retinanet() -> Config:
    return load_config(RETINANET)


@pytest.mark.parametrize('name', LAYERS)
def test_each_layer_starts_from_the_plain_weights_that_the_config_names(retinanet, name):
    attention = dict(type=f'se_mm.{LAYERS[name].__name__}')
    swap = plan_swap(retinanet, attention=attention)
    changes = {change.keys[-1]: change.value for change in swap.changes}
    assert changes['type'] == 'se_mm.SEResNet'
    assert changes['se_init'] == 'identity'
    assert 'init_cfg' not in changes  # torchvision's weights stay
    assert changes['attention'] == ({**attention, 'start': 'blend'} if name in ('ge', 'simam') else attention)
    assert any('blend' in line for line in swap.notes) == (name in ('ge', 'simam'))


@pytest.mark.parametrize(
    ('attention', 'starts'),
    [
        (dict(type='ContextBlock', fusion_types=['channel_add', 'channel_mul']), True),
        (dict(type='SELayer', gate=['sigmoid', 'tanh', 'sigmoid', 'sigmoid']), False),
        (dict(type='SELayer', gate=['sigmoid', ['sigmoid', 'tanh'], 'sigmoid', 'sigmoid']), False),
        (dict(type='mmengine.ContextBlock', ratio=1 / 16), False),
        (dict(type='NonLocal2d'), False),
        ('se_mm.SimAM', False),
    ],
)
def test_whether_a_layer_has_a_start_at_every_site(attention, starts):
    assert has_identity_start(attention) == starts


def test_a_layer_of_another_library_is_blended_in(retinanet):
    backbone = swap_backbone(retinanet, attention=dict(type='mmengine.ContextBlock', ratio=1 / 16)).model.backbone
    assert backbone.attention.start == 'blend'
    assert swap_backbone(retinanet, attention='se_mm.SimAM').model.backbone.attention.type == 'se_mm.SimAM'


WHOLE = [
    {'load_from': 'https://host/retinanet.pth', 'model.backbone.init_cfg': None},
    {'model.init_cfg': dict(type='Pretrained', checkpoint='retinanet.pth'), 'model.backbone.init_cfg': None},
]


@pytest.mark.parametrize('loaded', WHOLE, ids=['load_from', 'around it'])
def test_a_model_that_is_loaded_whole_gets_a_layer_that_starts_as_the_plain_network(loaded):
    swap = plan_swap(load_config(RETINANET, loaded), attention=dict(type='se_mm.SimAM'))
    (attention,) = (change.value for change in swap.changes if change.keys[-1] == 'attention')
    assert attention == dict(type='se_mm.SimAM', start='blend')
    assert any('since the model is loaded from' in line for line in swap.notes)


@pytest.mark.parametrize(
    ('attention', 'word'),
    [
        (dict(type='se_mm.ECALayer', ksize=3), 'k_size'),
        (dict(reduction=4), r"a dictionary such as dict\(type='SELayer'"),
    ],
)
def test_mistakes(retinanet, attention, word):
    with pytest.raises(SeMmError, match=word):
        plan_swap(retinanet, attention=attention)


def test_published_eca_weights_are_taken_where_they_fit(retinanet):
    cfg = copy.deepcopy(retinanet)
    cfg.model.backbone.update(type='ResNetV1d')
    backbone = swap_backbone(cfg, attention=dict(type='se_mm.ECALayer')).model.backbone
    assert backbone.init_cfg.checkpoint == 'timm://ecaresnet50d.miil_in1k'
    by_hand = swap_backbone(cfg, attention=dict(type='se_mm.ECALayer', k_size=3)).model.backbone
    assert by_hand.init_cfg.checkpoint == 'torchvision://resnet50'
    assert by_hand.se_init == 'identity'
