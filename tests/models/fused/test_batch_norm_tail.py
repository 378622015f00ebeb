"""The tail behind a BatchNorm in training mode against norm, gate and sum one by one, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from se_mm import SELayer
from se_mm.models.fused import batch_norm_tail, takes_batch_statistics

LAYOUTS = {'contiguous': torch.contiguous_format, 'channels last': torch.channels_last}


def case(shape=(3, 16, 5, 7), layout='contiguous', **norm):
    torch.manual_seed(0)
    v, shortcut = (torch.randn(shape, dtype=torch.float64).contiguous(memory_format=LAYOUTS[layout]) for _ in range(2))
    layers = nn.ModuleDict({'norm': nn.BatchNorm2d(shape[1], **norm), 'se': SELayer(shape[1], 2)})
    for name in ('weight', 'bias'):
        getattr(layers['norm'], name).data.uniform_(0.5, 1.5)
    return (v + 1).requires_grad_(), shortcut.requires_grad_(), layers.double()


def fused(v, shortcut, layers):
    return batch_norm_tail(v, shortcut, layers['norm'], *layers['se'].gate_of_mean())


def formula(v, shortcut, layers):
    u = layers['norm'](v)
    return torch.relu(shortcut + u * layers['se'].gate(u))


def results(tail, v, shortcut, layers, twice=False):
    layers = copy.deepcopy(layers)
    inputs = [v, shortcut, *layers.parameters()]
    out = tail(v, shortcut, layers)
    numbers = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape).to(out.dtype)
    found = torch.autograd.grad((out * numbers).sum() + out.square().sum(), inputs, create_graph=twice)
    if twice:
        found = torch.autograd.grad(sum(g.square().sum() for g in found), inputs)
    return out, found, dict(layers.named_buffers())


@pytest.mark.usefixtures('either')
@pytest.mark.parametrize('twice', [False, True])
@pytest.mark.parametrize('norm', [dict(), dict(momentum=None), dict(track_running_stats=False)])
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('shape', [(3, 16, 5, 7), (2, 4, 1, 1)])
def test_output_gradients_and_running_statistics_are_the_formulas(shape, layout, norm, twice):
    inputs = case(shape, layout, **norm)
    (ours, our_grads, our_buffers), (theirs, their_grads, their_buffers) = (
        results(tail, *inputs, twice) for tail in (fused, formula)
    )
    assert (ours - theirs).norm() <= 1e-12 * theirs.norm()
    for a, b in zip(our_grads, their_grads, strict=True):
        assert (a - b).norm() <= 1e-10 * b.norm().clamp_min(1e-3)
    assert all(torch.equal(our_buffers[name], value) for name, value in their_buffers.items())


def test_in_float32_the_output_is_the_plain_networks_in_every_bit_where_the_gate_is_a_half():
    v, shortcut, layers = case()
    layers.float()['se'].zero_init_gate()
    v, shortcut = v.detach().float(), shortcut.detach().float()
    out = fused(v, shortcut, layers)
    assert torch.equal(out, torch.relu(shortcut + layers['norm'](v) / 2))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_as_close_to_float64_as_the_operators_are(dtype):
    v, shortcut, layers = case((3, 16, 9, 11))
    exact, exact_grads, _ = results(formula, v, shortcut, layers)
    half = [x.detach().to(dtype).requires_grad_() for x in (v, shortcut)]
    errors = []
    for tail in (fused, formula):
        out, grads, _ = results(tail, *half, layers.float())
        assert out.dtype == grads[0].dtype == dtype
        pairs = zip((out, *grads), (exact, *exact_grads), strict=True)
        errors.append([((x.double() - y).norm() / y.norm()).item() for x, y in pairs])
    assert all(ours <= 1.5 * theirs + 2 * torch.finfo(dtype).eps for ours, theirs in zip(*errors, strict=True))


def test_autograd_keeps_two_maps():
    inputs, kept = case(), set()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.add((t.data_ptr(), t.shape)) or t, lambda t: t):
        out = fused(*inputs)
    assert {pointer for pointer, shape in kept if shape == out.shape} == {inputs[0].data_ptr(), out.data_ptr()}


def test_one_value_a_channel_is_refused_as_by_torch():
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        fused(*case((1, 4, 1, 1)))


def test_other_norms_are_left_to_themselves():
    assert takes_batch_statistics(nn.BatchNorm2d(4))
    watched = nn.BatchNorm2d(4)
    watched.register_forward_hook(lambda *_: None)
    others = [nn.SyncBatchNorm(4), nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4).eval(), watched]
    assert not any(takes_batch_statistics(norm) for norm in others)
