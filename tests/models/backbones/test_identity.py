"""With ``se_init='identity'`` the network is its plain twin, bit for bit, and its gates learn."""

from __future__ import annotations

import copy

import pytest
import torch
from mmdet.models import ResNet, ResNeXt
from support.helpers import as_tuple, odd_inputs, randomize

from se_mm import SEResNet, SEResNeXt, SETwin
from se_mm.models.hosts.sites import rescaled

PLUGINS = [
    dict(cfg=dict(type='ContextBlock', ratio=1 / 16), position='after_conv1', stages=(False, True, True, False)),
    dict(cfg=dict(type='NonLocal2d'), position='after_conv2', stages=(False, False, True, False)),
    dict(
        cfg=dict(type='ContextBlock', ratio=1 / 16, postfix=2),
        position='after_conv3',
        stages=(False, False, True, True),
    ),
]
DCN = dict(stage_with_dcn=(False, True, True, True))
ARGUMENTS = {
    'plain': dict(depth=50),
    'depth 18': dict(depth=18),
    'depth 34': dict(depth=34, base_channels=64, stem_channels=64),
    'caffe style': dict(depth=50, style='caffe'),
    'deep stem': dict(depth=50, deep_stem=True),
    'average downsampling': dict(depth=50, avg_down=True),
    'dilated': dict(depth=50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), out_indices=(1, 3)),
    'three stages': dict(depth=50, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(0, 2)),
    'four channels': dict(depth=18, base_channels=64, stem_channels=16, in_channels=4),
    'group norm': dict(depth=50, norm_cfg=dict(type='GN', num_groups=32)),
    'weight standardisation': dict(depth=18, conv_cfg=dict(type='ConvWS')),
    'dcn': dict(depth=50, dcn=dict(type='DCN', deform_groups=1, fallback_on_stride=False), **DCN),
    'dcn v2': dict(depth=50, dcn=dict(type='DCNv2', deform_groups=1, fallback_on_stride=True), **DCN),
    'plugins': dict(depth=50, plugins=PLUGINS),
    'checkpointed': dict(depth=50, with_cp=True),
    'frozen': dict(depth=50, frozen_stages=2),
    'norms in training': dict(depth=18, norm_eval=False),
    'two stages with SE': dict(depth=50, se_stages=(2, 3), reduction=8),
    'some units': dict(depth=18, attention_blocks=((1,), (0,), (), None)),
    'pre': dict(depth=50, attention_position='pre'),
    'conv2': dict(depth=50, attention_position='conv2'),
    'no biases': dict(depth=50, se_bias=False, reduction=(4, 8, 16, 32)),
    'resnext': dict(depth=50, groups=32, base_width=4),
    'resnext with plugins and dcn': dict(
        depth=50, groups=32, base_width=4, plugins=PLUGINS, dcn=dict(type='DCN', deform_groups=1), **DCN
    ),
}
SE_ARGUMENTS = ('reduction', 'se_stages', 'se_bias', 'attention_blocks', 'attention_position')


def twins(name: str):
    arguments = dict(base_channels=32, stem_channels=32) | ARGUMENTS[name]
    se_class, plain_class = (SEResNeXt, ResNeXt) if 'groups' in arguments else (SEResNet, ResNet)
    plain_arguments = {key: value for key, value in arguments.items() if key not in SE_ARGUMENTS}
    plain = randomize(plain_class(**copy.deepcopy(plain_arguments)).double())
    # Folded norms give the same up to rounding: tests/models/backbones/test_folded_training.py.
    se = se_class(se_init='identity', fold_norms=False, **copy.deepcopy(arguments)).double()
    return se, plain


@pytest.mark.parametrize('name', ARGUMENTS)
def test_loaded_with_plain_weights_it_is_the_plain_network(name):
    se, plain = twins(name)
    given = plain.state_dict()
    before = {key: value.clone() for key, value in given.items()}
    se.load_state_dict(given)
    assert all(torch.equal(given[key], value) for key, value in before.items())  # the user's tensors are untouched
    for training, x in zip((False, True), odd_inputs(ARGUMENTS[name].get('in_channels', 3)), strict=True):
        se.train(training), plain.train(training)
        for recorded in (False, True):
            with torch.set_grad_enabled(recorded):
                assert all(torch.equal(a, b) for a, b in zip(se(x), plain(x), strict=True))


INITIALISED = {
    'depth 18': dict(host='mmdet.ResNet', depth=18),
    'depth 50': dict(host='mmdet.ResNet', depth=50),
    'resnext': dict(host='mmdet.ResNeXt', depth=50, groups=32, base_width=4),
    'group norm': dict(host='mmdet.ResNet', depth=50, norm_cfg=dict(type='GN', num_groups=32)),
    'VGG': dict(host='mmpretrain.VGG', depth=16, norm_cfg=dict(type='BN'), out_indices=(3,)),
    'BN-Inception': dict(host='se_mm.BNInception', out_indices=(4,)),
    'MobileNet': dict(host='timm.mobilenetv1_100', out_indices=(4,), act_layer='relu'),
    'ShuffleNet': dict(host='mmpretrain.ShuffleNetV1', groups=3),
    'PreResNet': dict(host='se_mm.PreActResNetCIFAR', depth=20, bottleneck=True),
    'WRN': dict(host='se_mm.WideResNetCIFAR', depth=10, widen_factor=2),
    'Shake': dict(host='se_mm.ShakeResNetCIFAR', depth=14, base_width=16),
    'Shake, on the sum': dict(host='se_mm.ShakeResNetCIFAR', depth=14, base_width=16, attention_position='sum'),
    'ShakeNeXt': dict(host='se_mm.ShakeResNeXtCIFAR', depth=11, groups=2, base_width=4),
}


@pytest.mark.parametrize('name', INITIALISED)
def test_initialised_it_is_the_plain_network_of_its_own_weights(name):
    arguments = INITIALISED[name]
    se = SETwin(**arguments, se_init='identity').eval()
    plain = SETwin(**{**arguments, 'attention_position': 'standard'}, attention_stages=()).eval()
    se.init_weights()
    weights = {key: value for key, value in se.state_dict().items() if '.se.' not in key}
    for site in se.attention_sites():
        assert not site.parent.se.fc2.weight.any()
        for part in site.compensation:
            weights[part.name] = rescaled(weights[part.name], part, 0.5)
    plain.load_state_dict(weights)
    x = odd_inputs(dtype=torch.float32)[0]
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(as_tuple(se(x)), as_tuple(plain(x)), strict=True))


@pytest.mark.parametrize('name', ['depth 34', 'plugins', 'no biases'])
def test_two_steps_reach_every_se_weight(name):
    se, plain = twins(name)
    se.load_state_dict(plain.state_dict())
    start = {key: value.clone() for key, value in se.named_parameters() if '.se.' in key}
    optimizer = torch.optim.SGD(se.parameters(), lr=1e-3)
    for x in odd_inputs():
        optimizer.zero_grad()
        sum(feature.square().mean() for feature in se(x)).backward()
        optimizer.step()
    still = [key for key, value in se.named_parameters() if '.se.' in key and torch.equal(value, start[key])]
    assert start
    assert not still


def test_its_own_weights_are_not_doubled_again():
    se, plain = twins('plain')
    se.load_state_dict(plain.state_dict())
    again = SEResNet(50, base_channels=32, stem_channels=32, se_init='identity').double()
    again.load_state_dict(se.state_dict())
    x = odd_inputs()[0]
    again.eval(), plain.eval()
    assert all(torch.equal(a, b) for a, b in zip(again(x), plain(x), strict=True))


def test_mmengine_loads_plain_weights_into_a_detectors_backbone(tmp_path):
    from mmengine.runner import load_checkpoint
    from torch import nn

    se, plain = twins('depth 18')
    torch.save({'state_dict': {f'backbone.{k}': v for k, v in plain.state_dict().items()}}, tmp_path / 'plain.pth')
    detector = nn.Module()
    detector.backbone = se
    load_checkpoint(detector, str(tmp_path / 'plain.pth'), strict=True)
    x = odd_inputs()[0]
    se.eval(), plain.eval()
    assert all(torch.equal(a, b) for a, b in zip(se(x), plain(x), strict=True))
