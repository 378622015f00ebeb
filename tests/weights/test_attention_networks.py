"""timm's networks with other attention than SE: the same outputs from the same weights, or refused."""

from __future__ import annotations

import pytest
import timm
import torch
from support.helpers import randomize

from se_mm import SeMmError, SEResNet, SETwin
from se_mm.weights.loading import adapt

DEEP = dict(host='mmdet.ResNetV1d', depth=50)


def same_outputs(theirs: torch.nn.Module, ours: torch.nn.Module) -> None:
    ours.double().load_state_dict(randomize(theirs.double()).eval().state_dict())
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        out, expected = ours.eval()(x)[-1], theirs.forward_features(x)
    scale = expected.abs().max()
    torch.testing.assert_close(out / scale, expected / scale, rtol=0, atol=1e-9)


def test_ecaresnet50d():
    same_outputs(timm.create_model('ecaresnet50d'), SETwin(**DEEP, attention=dict(type='ECALayer')))


@pytest.mark.parametrize(
    ('attn_layer', 'attention'),
    [
        ('eca', dict(type='ECALayer')),
        ('cbam', dict(type='CBAM', bias=False, order='mean_max')),
        ('gc', dict(type='GlobalContext')),
        ('ese', dict(type='ESELayer')),
    ],
)
def test_the_layers_in_timms_resnet(attn_layer, attention):
    theirs = timm.create_model('resnet26', block_args=dict(attn_layer=attn_layer), layers=[1, 1, 1, 1])
    ours = SEResNet(depth=50, attention=attention)
    for i in (1, 2, 3, 4):  # one unit a stage is enough
        stage = getattr(ours, f'layer{i}')
        del stage[1:]
    same_outputs(theirs, ours)


@pytest.mark.parametrize(
    'attention', [dict(type='SELayer'), dict(type='ECALayer', k_size=9), dict(type='CBAM')], ids=str
)
def test_weights_of_another_layer_are_refused(attention, tmp_path):
    torch.save(SEResNet(depth=18, attention=dict(type='ECALayer')).state_dict(), tmp_path / 'eca.pth')
    with pytest.raises(SeMmError, match='takes nothing from .*eca.pth'):
        SEResNet(depth=18, attention=attention).load_pretrained(str(tmp_path / 'eca.pth'))


SAME_SHAPES = {
    'order': (dict(type='CBAM', order='mean_max'), dict(type='CBAM')),
    'dct_size': (dict(type='FcaLayer', dct_size=[56, 28, 14, 7]), dict(type='FcaLayer')),
    'components': (dict(type='FcaLayer', components='low16'), dict(type='FcaLayer')),
    'another class': (dict(type='FcaLayer', divisor=8), dict(type='SELayer', bias=False)),
    'one stage': (dict(type='SELayer', gate=['tanh', 'sigmoid', 'sigmoid', 'sigmoid']), dict(type='SELayer')),
    'blended in': (dict(type='SELayer', gate='tanh', start='blend'), dict(type='SELayer', start='blend')),
    'no weights': (dict(type='GatherExcite'), dict(type='SELayer')),
    'extent': (dict(type='GatherExcite', extent=2), dict(type='GatherExcite')),
}


@pytest.mark.parametrize('case', SAME_SHAPES)
def test_weights_of_a_layer_with_the_same_shapes_and_another_function_are_refused(case, tmp_path):
    theirs, ours = SAME_SHAPES[case]
    torch.save(SEResNet(depth=18, attention=theirs).state_dict(), tmp_path / 'theirs.pth')
    SEResNet(depth=18, attention=theirs).load_pretrained(str(tmp_path / 'theirs.pth'))
    with pytest.raises(SeMmError, match=rf'need attention={theirs["type"]}.*the config has {ours["type"]}'):
        SEResNet(depth=18, attention=ours).load_pretrained(str(tmp_path / 'theirs.pth'))


def test_published_gates_are_those_of_se(tmp_path):
    torch.save(timm.create_model('seresnet18').state_dict(), tmp_path / 'timm.pth')
    with pytest.raises(SeMmError, match=r'need attention=SELayer.*the config has FcaLayer'):
        SEResNet(depth=18, attention=dict(type='FcaLayer', bias=True, divisor=8)).load_pretrained(
            str(tmp_path / 'timm.pth')
        )


def test_what_older_files_say_of_their_gates_is_still_compared():
    weights = SEResNet(depth=18, attention=dict(type='SELayer', gate='tanh')).state_dict()
    weights._metadata['']['se_mm'] = dict(attention_position='standard', gate='tanh', squeeze='avg')
    with pytest.raises(SeMmError, match="need attention=SELayer.*gate='tanh'"):
        adapt(SEResNet(depth=18), dict(weights), '', weights._metadata[''])


def test_a_stage_that_the_network_leaves_out_is_not_compared(tmp_path):
    mixed = dict(type='SELayer', gate=['sigmoid', 'sigmoid', 'sigmoid', 'tanh'])
    torch.save(SEResNet(depth=18, attention=mixed).state_dict(), tmp_path / 'four.pth')
    three = dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,))
    SEResNet(depth=18, **three).load_pretrained(str(tmp_path / 'four.pth'))
