"""The same weights give the same feature maps as in timm and mmpretrain, and the published parameter counts."""

from __future__ import annotations

import mmpretrain.models as mmpretrain
import pytest
import timm
import torch
from helpers import odd_inputs, randomize

from se_mm import SEResNet, SEResNeXt

RESNEXT = dict(groups=32, base_width=4)
TIMM = {
    'seresnet18': lambda: SEResNet(18),
    'seresnet34': lambda: SEResNet(34),
    'seresnet50': lambda: SEResNet(50),
    'seresnet101': lambda: SEResNet(101),
    'seresnet152': lambda: SEResNet(152),
    'seresnext50_32x4d': lambda: SEResNeXt(50, **RESNEXT),
    'seresnext101_32x4d': lambda: SEResNeXt(101, **RESNEXT),
}


def largest_difference(ours, theirs, inputs):
    with torch.no_grad():
        pairs = [pair for x in inputs for pair in zip(ours(x), theirs(x), strict=True)]
    for a, b in pairs:
        assert a.shape == b.shape
        assert b.abs().max() > 1e-3  # a network of zeros would agree too
    return max((a - b).abs().max().item() for a, b in pairs)


@pytest.mark.parametrize('name', TIMM)
def test_timm(name):
    theirs = randomize(timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4)).double()).eval()
    ours = TIMM[name]().double().eval()
    ours.load_state_dict(dict(theirs.state_dict()))
    assert largest_difference(ours, theirs, odd_inputs()) <= 1e-9


@pytest.mark.parametrize(('depth', 'resnext'), [(50, False), (101, False), (152, False), (50, True), (101, True)])
def test_mmpretrain(depth, resnext):
    arguments = RESNEXT if resnext else {}
    their_class = mmpretrain.SEResNeXt if resnext else mmpretrain.SEResNet  # of 32 groups, each 4 wide
    theirs = randomize(their_class(depth, out_indices=(0, 1, 2, 3)).double())
    theirs.eval()  # mmpretrain's returns None
    renamed = {
        key.replace('se_layer.conv1.conv', 'se.fc1').replace('se_layer.conv2.conv', 'se.fc2'): value
        for key, value in theirs.state_dict().items()
    }
    ours = (SEResNeXt if resnext else SEResNet)(depth, **arguments).double().eval()
    ours.load_state_dict(renamed)
    assert largest_difference(ours, theirs, odd_inputs()) <= 1e-9


@pytest.mark.parametrize(
    ('build', 'millions'),
    [
        (TIMM['seresnet50'], 28.09),
        (TIMM['seresnet101'], 49.33),
        (TIMM['seresnet152'], 66.82),
        (TIMM['seresnext50_32x4d'], 27.56),
        (TIMM['seresnext101_32x4d'], 48.96),
    ],
)
def test_parameters_are_as_many_as_published(build, millions):
    classifier = 2048 * 1000 + 1000
    count = sum(p.numel() for p in build().parameters()) + classifier
    assert round(count / 1e6, 2) == millions
