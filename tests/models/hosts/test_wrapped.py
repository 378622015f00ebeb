"""Blocks in wrappers, and modules that were replaced: the network is saved and loaded as before."""

from __future__ import annotations

import pytest
import torch
from mmengine.runner import load_state_dict
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from se_mm import SENet, SEResNet, SETwin


def compiled(module: nn.Module) -> nn.Module:
    return torch.compile(module, backend='eager')


SMALL = dict(base_channels=8, stem_channels=8, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,))
NETWORKS = {
    'ResNet': (lambda: SEResNet(50, **SMALL), 'layer1.0'),
    'without attention': (lambda: SEResNet(50, attention_stages=(), **SMALL), 'layer2.1'),
    'a stage': (lambda: SEResNet(50, attention=dict(type='SELayer', squeeze='max'), **SMALL), 'layer2'),
    'its attention': (lambda: SEResNet(50, **SMALL), 'layer1.0.se'),
    'a norm': (lambda: SEResNet(50, **SMALL), 'layer1.0.bn3'),
    'SENet': (
        lambda: SENet(16, groups=32, out_indices=(1,), num_stages=2, strides=(1, 2), dilations=(1, 1)),
        'layer1.0',
    ),
    'Inception-v3': (lambda: SETwin('timm.inception_v3', out_indices=(2,)), 'Mixed_5b'),
}
WRAPPERS = {'compiled': compiled, 'checkpointed': checkpoint_wrapper, 'parallel': nn.DataParallel}


def replaced(network: nn.Module, name: str, change) -> nn.Module:
    parent, _, child = name.rpartition('.')
    setattr(network.get_submodule(parent), child, change(network.get_submodule(name)))
    return network


def tensors_equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize('wrapper', WRAPPERS)
@pytest.mark.parametrize('case', NETWORKS)
def test_a_network_with_a_wrapped_part_is_saved_with_its_variant_and_loaded(case, wrapper):
    build, name = NETWORKS[case]
    plain = build()
    wrapped = replaced(build(), name, WRAPPERS[wrapper])
    assert wrapped.variant() == plain.variant()
    wrapped.load_state_dict(plain.state_dict())
    assert tensors_equal(wrapped, plain)
    again = replaced(build(), name, WRAPPERS[wrapper])
    again.load_state_dict(wrapped.state_dict())
    assert tensors_equal(again, plain)
    if wrapper != 'parallel':  # mmengine looks into it by itself, under other names
        load_state_dict(again, wrapped.state_dict(), strict=True)


@pytest.mark.parametrize('name', ['layer1.0', 'layer1.0.bn3', 'layer1.0.conv3', 'layer1.0.se', 'layer2'])
def test_a_network_whose_parts_are_replaced_is_saved(name):
    network = replaced(SEResNet(50, **SMALL), name, lambda _: nn.Identity())
    assert network.variant()['attention_position'] == 'standard'
    network.state_dict()


def test_two_wrappers_around_one_block_leave_the_variant():
    network = SEResNet(50, **SMALL)
    expected = network.variant()
    assert replaced(network, 'layer1.0', lambda block: checkpoint_wrapper(compiled(block))).variant() == expected
    network.state_dict()
