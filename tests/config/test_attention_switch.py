"""--attention on the command line."""

from __future__ import annotations

import pytest

from se_mm import SeMmError
from se_mm.config.load import load_config
from se_mm.models.attention import LAYERS
from se_mm.models.hosts.attention_names import attention_named
from se_mm.swap import swap_backbone


@pytest.mark.parametrize('short', LAYERS)
def test_a_short_name_and_a_class_name_in_any_case(short):
    expected = {'type': f'se_mm.{LAYERS[short].__name__}'}
    name = LAYERS[short].__name__
    assert all(attention_named(text) == expected for text in (short, name, name.lower(), name.upper(), f'se_mm.{name}'))


def test_arguments_have_the_types_of_config_options():
    assert attention_named('se,reduction=8,gate=tanh,bias=False,start=blend') == {
        'type': 'se_mm.SELayer', 'reduction': 8, 'gate': 'tanh', 'bias': False, 'start': 'blend'
    }  # fmt: skip
    assert attention_named('eca,k_size=(3,5,5,7)')['k_size'] == (3, 5, 5, 7)
    assert attention_named('cbam,reduction=[16,[8,8,8,4],16,32],kernel_size=3') == {
        'type': 'se_mm.CBAM', 'reduction': [16, [8, 8, 8, 4], 16, 32], 'kernel_size': 3
    }  # fmt: skip


@pytest.mark.parametrize(
    ('text', 'word'),
    [('swin', 'eca .ECALayer'), ('', 'eca .ECALayer'), ('eca,3', 'eca,3'), ('eca,k_size=', 'no value')],
)
def test_mistakes(text, word):
    with pytest.raises(SeMmError, match=word):
        attention_named(text)


def test_a_twin_can_keep_the_plain_weights():
    cfg = load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    chosen = {weights: swap_backbone(cfg, weights=weights).model.backbone for weights in (None, 'keep')}
    assert chosen[None].init_cfg.checkpoint.startswith('timm://')
    assert chosen['keep'].init_cfg == cfg.model.backbone.init_cfg
    assert chosen['keep'].se_init == 'identity'
