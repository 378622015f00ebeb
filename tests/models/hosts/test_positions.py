"""Attention in every position of a residual unit, against forwards written here from mmdet's own modules."""

from __future__ import annotations

import pytest
import torch
from mmdet.models import ResNet
from support.helpers import odd_inputs, randomize

from se_mm import SEResNet

POSITIONS = ('standard', 'pre', 'post', 'identity', 'conv2')


def reference(unit, position, x):
    """The definitions of table 14 and 15, in the words of mmdet's Bottleneck."""
    relu = torch.relu
    shortcut = x if unit.downsample is None else unit.downsample(x)
    if position == 'pre':
        x = unit.se(x)
    w = relu(unit.bn2(unit.conv2(relu(unit.bn1(unit.conv1(x))))))
    if position == 'conv2':
        w = unit.se(w)
    u = unit.bn3(unit.conv3(w))
    if position == 'standard':
        u = unit.se(u)
    if position == 'identity':
        shortcut = unit.se(shortcut)
    out = relu(shortcut + u)
    return unit.se(out) if position == 'post' else out


@pytest.mark.parametrize('position', POSITIONS)
def test_a_unit_computes_what_its_position_says(position):
    network = randomize(SEResNet(50, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,), base_channels=16,
                                 attention_position=position).double()).eval()  # fmt: skip
    for unit in network.layer1:
        x = torch.randn(2, unit.conv1.in_channels, 9, 7, dtype=torch.float64)
        for recorded in (False, True):
            with torch.set_grad_enabled(recorded):
                torch.testing.assert_close(unit(x), reference(unit, position, x), rtol=1e-12, atol=1e-12)


#: networks.md and the paper's tables give the whole classifier; without its fc layer these are the backbones.
COUNTS = {'standard': 28_071_976, 'pre': 27_548_200, 'post': 28_071_976, 'identity': 28_071_976, 'conv2': 25_714_216}


@pytest.mark.parametrize('position', POSITIONS)
def test_parameters_are_the_papers(position):
    """SE_PRE has the widths of the units' inputs, SE_3x3 those of the 3x3 convolutions (C // 16)."""
    with torch.device('meta'):
        network = SEResNet(50, attention=dict(type='SELayer', bias=False, divisor=1), attention_position=position)
    classifier = 2048 * 1000 + 1000
    assert sum(p.numel() for p in network.parameters()) + classifier == COUNTS[position]


@pytest.mark.parametrize('position', ['standard', 'pre', 'conv2'])
def test_with_plain_weights_it_equals_the_plain_network(position):
    narrow = dict(depth=50, base_channels=16, stem_channels=16)
    plain = randomize(ResNet(**narrow).double())
    plain.eval()
    network = SEResNet(**narrow, attention_position=position).double().eval()
    network.load_state_dict(plain.state_dict())
    x = odd_inputs()[0]
    with torch.no_grad():
        for ours, theirs in zip(network(x), plain(x), strict=True):
            assert torch.equal(ours, theirs)
