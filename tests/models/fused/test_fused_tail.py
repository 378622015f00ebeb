"""The tail as one function of autograd against the formula, its operators one by one, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from se_mm import SELayer
from se_mm.models.fused import frozen_affine, fused_tail, normalized

LAYOUTS = {'contiguous': torch.contiguous_format, 'channels last': torch.channels_last}


def case(n, c, h, w, layout, norm, bias, dtype=torch.float64, seed=0):
    """Maps, a norm and a gate that want gradients."""
    torch.manual_seed(seed)
    v, shortcut = (torch.randn(n, c, h, w, dtype=dtype).contiguous(memory_format=LAYOUTS[layout]) for _ in range(2))
    layers = nn.ModuleDict({'se': SELayer(c, 1, bias=bias), 'norm': nn.Identity()})
    if norm:
        layers['norm'] = nn.BatchNorm2d(c)
        for part in ('weight', 'bias', 'running_mean', 'running_var'):
            getattr(layers['norm'], part).data.uniform_(0.5, 1.5)
    return v.requires_grad_(), shortcut.requires_grad_(), layers.to(dtype).eval()


def fused(v, shortcut, layers):
    affine = frozen_affine(layers['norm'])
    return fused_tail(v, shortcut, affine, layers['norm'], *layers['se'].gate_of_mean())


def formula(v, shortcut, layers):
    u = layers['norm'](v)
    return torch.relu(shortcut + layers['se'].gate(u) * u)


def gradients(tail, v, shortcut, layers):
    v, shortcut, layers = v.detach().requires_grad_(), shortcut.detach().requires_grad_(), copy.deepcopy(layers)
    out = tail(v, shortcut, layers)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    (out * weights).sum().backward()
    return [out.detach(), v.grad, shortcut.grad, *(parameter.grad for parameter in layers.parameters())]


@pytest.mark.usefixtures('either')
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('norm', [True, False])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', [(2, 9, 5, 7), (1, 16, 1, 1), (0, 8, 3, 3), (3, 8, 1, 6)])
def test_output_and_gradients_are_the_formulas(shape, layout, norm, bias):
    inputs = case(*shape, layout, norm, bias)
    for ours, theirs in zip(gradients(fused, *inputs), gradients(formula, *inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@given(
    st.integers(1, 3), st.integers(1, 12), st.integers(1, 9), st.integers(1, 9),
    st.sampled_from(list(LAYOUTS)), st.booleans(), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_any_shape(n, c, h, w, layout, norm, bias, seed):
    inputs = case(n, c, h, w, layout, norm, bias, seed=seed)
    for ours, theirs in zip(gradients(fused, *inputs), gradients(formula, *inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_numerical_gradients():
    v, shortcut, layers = case(2, 8, 3, 4, 'contiguous', True, True)
    assert torch.autograd.gradcheck(lambda a, b: fused(a, b, layers), (v, shortcut), atol=1e-6)


@pytest.mark.parametrize('wanted', ['v', 'shortcut', 'gate'])
def test_one_gradient_alone(wanted):
    v, shortcut, layers = case(2, 8, 3, 4, 'contiguous', True, True)
    found = []
    for tail in (fused, formula):
        mine = copy.deepcopy(layers).requires_grad_(wanted == 'gate')
        a, b = v.detach().requires_grad_(wanted == 'v'), shortcut.detach().requires_grad_(wanted == 'shortcut')
        tail(a, b, mine).square().sum().backward()
        found.append([t.grad for t in (a, b, *mine.parameters()) if t.grad is not None])
    assert len(found[0]) == len(found[1]) > 0
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('norm', [True, False])
def test_gradients_of_gradients_are_the_formulas(norm):
    v, shortcut, layers = case(2, 8, 3, 4, 'contiguous', norm, True)
    inputs, found = [v, shortcut, *layers.parameters()], []
    for tail in (fused, formula):
        first = torch.autograd.grad(tail(v, shortcut, layers).square().sum(), inputs, create_graph=True)
        found.append((*first, *torch.autograd.grad(sum(g.square().sum() for g in first), inputs)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures('either')
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_close_to_float64(dtype):
    v, shortcut, layers = case(2, 16, 9, 11, 'contiguous', True, True)
    exact = gradients(fused, v, shortcut, layers)
    with torch.autocast('cpu', dtype=dtype):
        half = gradients(fused, v.to(dtype), shortcut.to(dtype), layers.float())
    assert half[0].dtype == half[1].dtype == dtype
    for ours, theirs in zip(half, exact, strict=True):
        assert (ours.double() - theirs).norm() < (0.02 if dtype is torch.float16 else 0.1) * theirs.norm()


def test_the_squeeze_of_large_half_precision_maps_is_finite():
    v = torch.full((1, 8, 64, 64), 6e4, dtype=torch.float16)
    out = fused_tail(v, torch.zeros_like(v), None, nn.Identity(), *SELayer(8, 1).gate_of_mean())
    assert out.isfinite().all()


def test_a_norm_in_place_is_the_norm_and_touches_nothing_that_is_seen():
    norm = nn.BatchNorm2d(8).eval()
    norm.running_var.uniform_(0.5, 1.5)
    v = torch.randn(2, 8, 5, 5)
    expected = norm(v).detach()
    with torch.no_grad():
        for changed in (v.clone(), v.clone().contiguous(memory_format=torch.channels_last)):
            u = normalized(norm, changed)
            assert u is changed
            assert torch.equal(u, expected)
    kept = v.clone()
    assert torch.equal(normalized(norm, kept), expected)  # a gradient is recorded: its weight wants one
    assert torch.equal(kept, v)
    seen = []
    norm.register_forward_hook(lambda module, args, output: seen.append(output))
    with torch.no_grad():
        assert normalized(norm, kept) is not kept
        norm.train()
        assert normalized(norm, kept) is not kept
    assert len(seen) == 2
