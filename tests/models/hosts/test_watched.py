"""Hooks, pruning, parametrizations and transforms see the layers that the fused tail does not call."""

from __future__ import annotations

import copy

import pytest
import torch
from support.helpers import randomize
from torch import nn
from torch.nn.utils import parametrizations, prune

from se_mm import SELayer, SEResNet, SETwin


def network(**arguments):
    one_stage = dict(num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,), base_channels=8, stem_channels=8)
    return randomize(SEResNet(50, **one_stage, **arguments).double()).eval()


def image(side=33):
    return torch.randn(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('name', ['se', 'se.fc1', 'se.fc2', 'bn3', 'conv3', 'conv1', 'bn1'])
def test_hooks_are_called_and_see_what_they_change(name):
    model, seen = network(), []
    module = model.layer1[1].get_submodule(name)
    module.register_forward_hook(lambda _, __, output: seen.append(output) or output * 0)
    for recorded in (False, True):
        with torch.set_grad_enabled(recorded):
            assert not torch.equal(model(image())[0], network()(image())[0])
        assert len(seen) == 1 + recorded


@pytest.mark.parametrize('recorded', [False, True])
def test_a_hook_on_the_activation_sees_the_units_output_last(recorded):
    model, seen = network(), []
    model.layer1[1].relu.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.set_grad_enabled(recorded):
        model(image())
    assert [output.size(1) for output in seen] == [8, 8, 32]  # as in mmdet's ResNet


def test_full_backward_hooks_are_called():
    model, seen = network(), []
    for name in ('se', 'se.fc1', 'se.fc2', 'bn3'):
        model.layer1[0].get_submodule(name).register_full_backward_hook(lambda *_, name=name: seen.append(name))
    model(image())[0].sum().backward()
    assert sorted(seen) == ['bn3', 'se', 'se.fc1', 'se.fc2']


def doubled(part: str) -> type[SELayer]:
    """What a user makes of our layer by overriding one method."""
    return type('Doubled', (SELayer,), {part: lambda self, u: 2 * getattr(SELayer, part)(self, u)})


def by_operators(model):
    """The same network, whose fused forms are off: each module has a hook."""
    for module in model.modules():
        module.register_forward_hook(lambda *_: None)
    return model


@pytest.mark.parametrize('training', [pytest.param(False, marks=pytest.mark.soak), True])
@pytest.mark.parametrize('part', ['forward', 'gate', 'excitation'])
def test_a_subclass_that_overrides_a_part_of_the_layer_is_obeyed(part, training):
    arguments = dict(attention=dict(type=doubled(part)), norm_eval=True)
    with torch.set_grad_enabled(training):
        found = network(**arguments).train(training)(image())[0]
        torch.testing.assert_close(found, by_operators(network(**arguments).train(training))(image())[0])
        assert not torch.allclose(found, network(norm_eval=True).train(training)(image())[0])


@pytest.mark.parametrize('training', [pytest.param(False, marks=pytest.mark.soak), True])
@pytest.mark.parametrize('name', ['conv1', 'conv3', 'bn2', 'bn3', 'se', 'relu', 'downsample.0'])
def test_a_forward_that_was_replaced_on_a_module_is_called(name, training):
    model = network(norm_eval=True).train(training)
    module, calls = model.layer1[0].get_submodule(name), []
    forward = module.forward
    module.forward = lambda *args: calls.append(name) or forward(*args)
    with torch.set_grad_enabled(training):
        model(image())
    assert len(calls) == (3 if name == 'relu' else 1)


class Shifted(nn.BatchNorm2d):
    def forward(self, v):
        return super().forward(v) + 1


def norms_of_a_users_own(unit):
    unit.bn2.__class__ = unit.bn3.__class__ = Shifted


def norms_without_a_shift(unit):
    unit.bn2.bias = unit.bn3.bias = None


def test_a_convolution_that_was_taken_out_does_not_cost_the_shortcut():
    model = network()
    model.layer1[1].conv1 = nn.Identity()
    model.layer1[1].bn1 = nn.BatchNorm2d(32).double().eval()
    model.layer1[1].bn1.running_mean.fill_(0.5)
    model.layer1[1].conv2 = nn.Conv2d(32, 8, 3, padding=1).double()
    model.layer1[1].bn2 = nn.BatchNorm2d(8).double().eval()
    reference = by_operators(copy.deepcopy(model))
    with torch.no_grad():
        torch.testing.assert_close(model(image())[0], reference(image())[0])


@pytest.mark.parametrize('norm_eval', [True, False])
@pytest.mark.parametrize('change', [norms_of_a_users_own, norms_without_a_shift])
def test_a_unit_that_was_changed_computes_what_its_modules_do(change, norm_eval):
    model = network(norm_eval=norm_eval)
    change(model.layer1[1])
    reference = by_operators(copy.deepcopy(model))
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(image())[0], reference.eval()(image())[0])
    ours, theirs = (each.train()(image())[0] for each in (model, reference))
    torch.testing.assert_close(ours, theirs)
    ours.sum().backward(), theirs.sum().backward()
    for (name, a), b in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_statistics_that_are_not_tracked_stay():
    model = network(norm_eval=False).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(image())
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


def test_an_empty_batch_gives_empty_maps():
    for norm_eval in (True, False):
        assert network(norm_eval=norm_eval).train()(image()[:0])[0].shape == (0, 32, 9, 9)


@pytest.mark.parametrize(
    ('layer', 'change'),
    [
        ('fc2', lambda fc2: prune.ln_structured(fc2, 'weight', amount=0.999, n=2, dim=0)),
        ('fc1', parametrizations.spectral_norm),
    ],
    ids=['pruned', 'spectral norm'],
)
def test_a_gate_computes_with_the_weights_that_it_is_given(layer, change):
    model, by_hand = network(), network()
    changed = getattr(model.layer1[0].se, layer)
    change(changed)
    getattr(by_hand.layer1[0].se, layer).weight.data.copy_(changed.weight.detach())
    for recorded in (False, True):
        with torch.set_grad_enabled(recorded):
            torch.testing.assert_close(model(image())[0], by_hand(image())[0], rtol=1e-10, atol=1e-10)


def test_torch_func_gradients_equal_autograds():
    model = network()
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())

    def loss(parameters):
        return torch.func.functional_call(model, (parameters, buffers), (image(),))[0].square().mean()

    found = torch.func.grad(loss)(parameters)
    loss(parameters).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-8, atol=1e-10)


def test_vmap_equals_a_loop():
    model = network()
    images = torch.stack([image(), image().flip(0)])
    with torch.no_grad():
        mapped = torch.vmap(lambda x: model(x)[0])(images)
        for ours, x in zip(mapped, images, strict=True):
            torch.testing.assert_close(ours, model(x)[0], rtol=1e-10, atol=1e-10)


def test_forward_mode_agrees_with_reverse_mode():
    model = network()
    x = image()
    direction = torch.randn_like(x)
    _, forward = torch.func.jvp(lambda x: model(x)[0].sum(), (x,), (direction,))
    x.requires_grad_()
    (backward,) = torch.autograd.grad(model(x)[0].sum(), x)
    torch.testing.assert_close(forward, (backward * direction).sum(), rtol=1e-8, atol=1e-8)
    with torch.autograd.forward_ad.dual_level():
        out = model(torch.autograd.forward_ad.make_dual(x.detach(), direction))[0].sum()
        torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(out).tangent, forward, rtol=1e-8, atol=1e-8)


def test_fx_traces_what_eager_computes():
    model = network()
    traced = torch.fx.symbolic_trace(model)
    with torch.no_grad():
        torch.testing.assert_close(traced(image())[0], model(image())[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('training', [pytest.param(False, marks=pytest.mark.soak), True])
def test_double_backward_agrees_with_finite_differences(training):
    model = network(norm_eval=False).train(training)
    unit = model.layer1[0]
    x = 0.5 * torch.randn(2, 8, 3, 3, dtype=torch.float64)
    x.requires_grad_()
    assert torch.autograd.gradgradcheck(unit, (x,), atol=1e-4)


@pytest.mark.parametrize('norm_eval', [True, False])
@pytest.mark.parametrize('depth', [18, 50])
def test_many_gradients_at_once_are_those_one_by_one(depth, norm_eval):
    one_stage = dict(num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,), base_channels=8, stem_channels=8)
    stage = randomize(SEResNet(depth, norm_eval=norm_eval, **one_stage).double()).train().layer1

    def some_outputs(x):
        return stage(x).flatten()[::7]

    x = torch.randn(2, 8, 3, 3, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian
    torch.testing.assert_close(jacobian(some_outputs, x, vectorize=True), jacobian(some_outputs, x))


@pytest.mark.parametrize('host', ['mmdet.Res2Net', 'mmdet.ResNeSt'])
def test_compiled_twins_of_blocks_with_forwards_of_their_own_equal_eager_ones(host):
    arguments = {'mmdet.Res2Net': dict(scales=4, base_width=26), 'mmdet.ResNeSt': dict(radix=2, reduction_factor=4)}
    model = SETwin(host, depth=50, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,), **arguments[host])
    model = randomize(model.double()).eval()
    with torch.no_grad():
        before = model(image(65))[0]
        compiled = torch.compile(model, backend='eager')
        first, second = compiled(image(65))[0], compiled(image(65))[0]
        after = model(image(65))[0]
    for other in (first, second, after):
        torch.testing.assert_close(other, before, rtol=1e-12, atol=1e-12)
    assert not any(module._forward_hooks for module in model.modules() if isinstance(module, nn.BatchNorm2d))
