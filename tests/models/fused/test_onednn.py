"""Deployed on oneDNN's fused operators: the same maps, and the unit's own forward wherever they cannot run."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from support.helpers import randomize
from torch import nn

from se_mm import SELayer, SEResNet, SEResNeXt, SETwin
from se_mm.models.fused import onednn

NETWORKS = {
    'SE-ResNet-18': lambda: SEResNet(18),
    'SE-ResNet-50': lambda: SEResNet(50),
    'caffe, average downsampling': lambda: SEResNet(50, style='caffe', avg_down=True, deep_stem=True),
    'no biases, two stages': lambda: SEResNet(50, se_bias=False, se_stages=(1, 2)),
    'SE-ResNeXt-50': lambda: SEResNeXt(50, groups=32, base_width=4),
    'mmpretrain': lambda: SETwin('mmpretrain.ResNet', depth=50, out_indices=(0, 1, 2, 3)),
}

#: Those of the suite; the others are for `make soak`.
QUICK = ('SE-ResNet-18', 'no biases, two stages', 'mmpretrain')


def pair(name='SE-ResNet-50'):
    torch.manual_seed(0)
    network = randomize(NETWORKS[name]()).eval()
    return network, copy.deepcopy(network).deploy()


def fused_units(network):
    return [module for module in network.modules() if getattr(module, 'on_onednn', False)]


def assert_alike(ours, theirs, tolerance=1e-5):
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() <= tolerance * b.abs().max()


@torch.no_grad()
@pytest.mark.parametrize(
    'name', [name if name in QUICK else pytest.param(name, marks=pytest.mark.soak) for name in NETWORKS]
)
def test_any_size_and_batch_gives_the_same(name):
    network, deployed = pair(name)
    assert len(fused_units(deployed)) == (8 if '18' in name else 16)
    for shape in ((1, 3, 64, 96), (2, 3, 160, 131), (1, 3, 33, 64)):
        x = torch.randn(shape)
        given = x.clone()
        first = deployed(x)
        assert_alike(first, network(x))
        assert all(torch.equal(a, b) for a, b in zip(first, deployed(x), strict=True))
        assert torch.equal(x, given)


@torch.no_grad()
def test_what_cannot_run_on_them_takes_the_units_own_forward():
    network, deployed = pair()
    x = torch.randn(1, 3, 64, 96)
    expected = network(x)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert_alike([f.float() for f in deployed(x)], expected, 0.1)
    traced = torch.jit.trace(deployed, x, check_trace=False)
    assert not any('mkldnn' in node.kind() for node in traced.inlined_graph.nodes())
    assert_alike(traced(x), expected, 1e-4)
    assert_alike(copy.deepcopy(deployed).double()(x.double()), expected, 1e-4)


def test_an_image_that_wants_a_gradient_gets_it():
    network, deployed = pair()
    x = torch.randn(1, 3, 64, 96, requires_grad=True)
    ours, theirs = (torch.autograd.grad(model(x)[-1].sum(), x)[0] for model in (deployed, network))
    assert_alike([ours], [theirs], 1e-3)


@torch.no_grad()
def test_what_a_hook_saw_is_not_written_over():
    _, deployed = pair()
    seen = []
    for name in ('layer1.0', 'layer2.1', 'layer2.2', 'layer3.5'):
        deployed.get_submodule(name).register_forward_hook(lambda m, args, out: seen.append((out, out.clone())))
    deployed.layer3[2].register_forward_pre_hook(lambda m, args: seen.append((args[0], args[0].clone())))
    deployed.layer3[3].register_forward_hook(lambda m, args, out: seen.append((args[0], args[0].clone())))
    deployed(torch.randn(1, 3, 96, 96))
    assert len(seen) == 6
    assert all(torch.equal(given, copied) for given, copied in seen)


@torch.no_grad()
def test_weights_that_are_changed_after_the_first_image_are_used():
    _, deployed = pair()
    x = torch.randn(1, 3, 64, 96)
    before = deployed(x)
    for parameter in deployed.layer2.parameters():
        parameter.mul_(1.1)
    deployed.layer3[1].conv1 = copy.deepcopy(deployed.layer3[1].conv1)
    deployed.layer3[1].conv1.weight.neg_()
    found = deployed(x)
    assert (found[2] - before[2]).abs().max() > 1e-2 * before[2].abs().max()
    assert_alike(found, copy.deepcopy(deployed)(x))  # a copy lays out its weights anew


@torch.no_grad()
def test_a_subclass_of_the_layer_is_obeyed():
    class Doubled(SELayer):
        def gate(self, u):
            return 2 * super().gate(u)

    network = randomize(SEResNet(50, attention=dict(type=Doubled))).eval()
    x = torch.randn(1, 3, 64, 96)
    assert_alike(copy.deepcopy(network).deploy()(x), network(x))


@torch.no_grad()
def test_it_can_be_copied_and_pickled_after_use():
    network, deployed = pair('SE-ResNet-18')
    x = torch.randn(1, 3, 64, 96)
    deployed(x)
    for again in (copy.deepcopy(deployed), pickle.loads(pickle.dumps(deployed))):
        assert_alike(again(x), network(x))
    assert deployed.state_dict().keys() == again.state_dict().keys()


@torch.no_grad()
def test_without_the_operators_a_warning_says_so_and_nothing_is_changed(monkeypatch):
    def missing(*_):
        raise AttributeError('no such operator')

    monkeypatch.setattr(onednn, 'onednn_add_conv_relu_', missing)
    onednn.onednn_works.cache_clear()
    with pytest.warns(UserWarning, match="without oneDNN's fused operators.*no such operator"):
        network, deployed = pair('SE-ResNet-18')
    onednn.onednn_works.cache_clear()
    assert not fused_units(deployed)
    assert isinstance(deployed.relu, nn.ReLU)
    x = torch.randn(1, 3, 64, 96)
    assert_alike(deployed(x), network(x), 1e-4)
