"""Attention in every position of a residual unit, against forwards written here from mmdet's own modules."""

from __future__ import annotations

import pytest
import torch
from support.helpers import randomize

from se_mm import SEResNet, SETwin

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


RESNET_50 = dict(depth=50)
RES2NET_50 = dict(depth=50, scales=4, base_width=26)


@pytest.mark.parametrize(('host', 'arguments'), [('mmdet.ResNet', RESNET_50), ('mmdet.Res2Net', RES2NET_50)])
def test_units_that_are_named_carry_attention_and_no_others(host, arguments):
    blocks = dict(attention_blocks=((2, 0), None, (), (1,)))
    with torch.device('meta'):
        chosen = SETwin(host, **arguments, **blocks)
        both = SETwin(host, **arguments, **blocks, attention_stages=(0, 3))
    kept = ['layer1.0', 'layer1.2', 'layer2.0', 'layer2.1', 'layer2.2', 'layer2.3', 'layer4.1']
    assert [site.name for site in chosen.attention_sites()] == kept
    assert {key.partition('.se.')[0] for key in chosen.state_dict() if '.se.' in key} == set(kept)
    assert [site.name for site in both.attention_sites()] == ['layer1.0', 'layer1.2', 'layer4.1']
