"""Attention in some units of a stage and not in others."""

from __future__ import annotations

import pytest
import torch
from mmdet.models import ResNet
from support.helpers import odd_inputs, randomize

from se_mm import SEResNet, SEResNeXt, SETwin


def names(backbone) -> list[str]:
    return [site.name for site in backbone.attention_sites()]


@pytest.mark.parametrize(
    'build',
    [
        lambda **blocks: SEResNet(50, **blocks),
        lambda **blocks: SEResNeXt(50, groups=32, **blocks),
        lambda **blocks: SETwin('mmdet.Res2Net', depth=50, scales=4, base_width=26, **blocks),
    ],
    ids=['SEResNet', 'SEResNeXt', 'SETwin'],
)
def test_units_that_are_named_carry_attention_and_no_others(build):
    with torch.device('meta'):
        chosen = build(attention_blocks=((2, 0), None, (), (1,)))
        both = build(attention_blocks=((2, 0), None, (), (1,)), attention_stages=(0, 3))
    kept = ['layer1.0', 'layer1.2', 'layer2.0', 'layer2.1', 'layer2.2', 'layer2.3', 'layer4.1']
    assert names(chosen) == kept
    assert {key.partition('.se.')[0] for key in chosen.state_dict() if '.se.' in key} == set(kept)
    assert names(both) == ['layer1.0', 'layer1.2', 'layer4.1']


def test_plain_weights_start_it_as_the_plain_network():
    plain = randomize(ResNet(18)).double()
    network = SEResNet(18, attention_blocks=((1,), (0,), (), None)).double()
    network.load_state_dict(plain.state_dict())
    plain.eval()
    network.eval()
    x = odd_inputs()[0]
    with torch.no_grad():
        for ours, theirs in zip(network(x), plain(x), strict=True):
            assert torch.equal(ours, theirs)
