"""--attention and --max-params: another layer than SE in any config, within a budget."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

from se_mm import SeMmError
from se_mm.config.load import load_config
from se_mm.models.attention import LAYERS
from se_mm.swap import plan_swap, swap_backbone
from se_mm.swap.building import shapes_only

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
BLOCKS = {256: 3, 512: 4, 1024: 6, 2048: 3}
PLAIN = 23_508_032  # of ResNet-50 without its classifier


@pytest.fixture(scope='module')
def retinanet() -> Config:
    return load_config(RETINANET)


def parameters(backbone: dict) -> int:
    with MODELS.switch_scope_and_registry('mmdet') as registry, shapes_only():
        network = registry.build({**copy.deepcopy(backbone), 'init_cfg': None})
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize('name', LAYERS)
def test_each_layer_starts_from_the_plain_weights_that_the_config_names(retinanet, name):
    attention = dict(type=f'se_mm.{LAYERS[name].__name__}')
    swap = plan_swap(retinanet, attention=attention)
    changes = {change.keys[-1]: change.value for change in swap.changes}
    assert changes['type'] == 'se_mm.SEResNet'
    assert changes['se_init'] == 'identity'
    assert 'init_cfg' not in changes  # torchvision's weights stay
    assert changes['attention'] == ({**attention, 'start': 'blend'} if name in ('ge', 'simam') else attention)
    assert any('blend' in line for line in swap.said) == (name in ('ge', 'simam'))


def test_a_budget_shrinks_the_last_stages_first(retinanet):
    swap = plan_swap(retinanet, attention=dict(type='se_mm.CBAM'), max_params='+2%')
    (reduction,) = (change.value for change in swap.changes if change.keys[-1] == 'reduction')
    added = sum(n * (2 * c * (c // r) + c + c // r + 100) for (c, n), r in zip(BLOCKS.items(), reduction, strict=True))
    assert added <= 0.02 * PLAIN
    assert list(reduction) == sorted(reduction)
    assert reduction[0] == 16
    backbone = swap_backbone(retinanet, attention=dict(type='se_mm.CBAM'), max_params='+2%').model.backbone
    assert parameters(backbone) == PLAIN + added
    assert any(f'{added:,} parameters added' in line for line in swap.said)


def test_a_budget_for_se_and_in_numbers(retinanet):
    for limit, most in (('+5%', 0.05 * PLAIN), ('300000', 300_000), ('+20%', 0.2 * PLAIN)):
        backbone = swap_backbone(retinanet, max_params=limit, weights='none').model.backbone
        assert parameters(backbone) - PLAIN <= most
    assert list(backbone.reduction) == [16, 16, 16, 16]  # which fit


@pytest.mark.parametrize(
    ('given', 'word'),
    [
        (dict(max_params='2 percent'), 'share'),
        (dict(max_params='+0.01%'), 'eca'),
        (dict(max_params='+2%', attention=dict(type='se_mm.ECALayer')), 'has none'),
        (dict(attention=dict(type='se_mm.ECALayer', ksize=3)), 'k_size'),
    ],
)
def test_mistakes(retinanet, given, word):
    with pytest.raises(SeMmError, match=word):
        plan_swap(retinanet, **given)


def test_a_transformer_is_refused_in_one_line():
    cfg = load_config('mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py')
    with pytest.raises(SeMmError, match='SwinTransformer') as refused:
        plan_swap(cfg, attention=dict(type='se_mm.ECALayer'))
    assert '\n' not in str(refused.value)


def test_published_eca_weights_are_taken_where_they_fit(retinanet):
    cfg = copy.deepcopy(retinanet)
    cfg.model.backbone.update(type='ResNetV1d')
    backbone = swap_backbone(cfg, attention=dict(type='se_mm.ECALayer')).model.backbone
    assert backbone.init_cfg.checkpoint == 'timm://ecaresnet50d.miil_in1k'
    by_hand = swap_backbone(cfg, attention=dict(type='se_mm.ECALayer', k_size=3)).model.backbone
    assert by_hand.init_cfg.checkpoint == 'torchvision://resnet50'
    assert by_hand.se_init == 'identity'
