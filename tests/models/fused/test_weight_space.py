"""The tail as one matrix per image against convolution, norm and gate one by one, in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from se_mm import SELayer
from se_mm.models.fused import folded_affine, weight_space, weight_space_tail

LAYOUTS = {'contiguous': torch.contiguous_format, 'channels last': torch.channels_last}


class Branch(nn.Module):
    def __init__(self, k, c, bias):
        super().__init__()
        self.conv = nn.Conv2d(k, c, 1, bias=bias)
        self.norm = nn.BatchNorm2d(c)
        self.se = SELayer(c, 2, bias=bias)
        for part in ('weight', 'bias', 'running_mean', 'running_var'):
            getattr(self.norm, part).data.uniform_(0.5, 1.5)
        self.eval()


def fused(branch, z, shortcut, overwrite=False):
    affine = folded_affine(branch.conv, branch.norm)
    return weight_space_tail(z, shortcut * 1, branch.conv.weight, affine, *branch.se.gate_of_mean(), overwrite)


def formula(branch, z, shortcut):
    u = branch.norm(branch.conv(z))
    return torch.relu(shortcut * 1 + branch.se.gate(u) * u)


def case(n, k, h, w, layout='contiguous', bias=True, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    z, shortcut = (
        torch.randn(n, c, h, w, dtype=torch.float64).to(dtype).contiguous(memory_format=LAYOUTS[layout])
        for c in (k, 4 * k)
    )
    return Branch(k, 4 * k, bias).double(), z.requires_grad_(), shortcut.requires_grad_()


def gradients(out, branch, z, shortcut, twice=False):
    inputs = [z, shortcut, *branch.parameters()]
    numbers = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape).to(out.dtype)
    found = torch.autograd.grad((out * numbers).sum() + out.square().sum(), inputs, create_graph=twice)
    return found if not twice else torch.autograd.grad(sum(g.square().sum() for g in found), inputs)


def assert_alike(ours, theirs, tolerance):
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert (a - b).norm() <= tolerance * b.norm().clamp_min(1e-3)


@pytest.fixture(params=['matrices', 'convolutions', 'kernels'])
def products(request, monkeypatch):
    """Large maps take products of matrices on a CPU, small ones convolutions; maps on a GPU its kernels."""
    if request.param == 'kernels':
        request.getfixturevalue('through_kernels')
    monkeypatch.setattr(weight_space, '_FEW_POSITIONS', 2048 if request.param == 'convolutions' else 0)


@pytest.mark.usefixtures('products')
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('overwrite', [True, False])
@pytest.mark.parametrize('shape', [(2, 4, 5, 7), (1, 16, 1, 1), (3, 2, 1, 6)])
def test_output_and_gradients_are_the_formulas(shape, overwrite, bias, layout):
    branch, z, shortcut = case(*shape, layout, bias)
    ours, theirs = fused(branch, z, shortcut, overwrite), formula(branch, z, shortcut)
    assert_alike([ours], [theirs], 1e-12)
    assert ours.stride() == theirs.stride()
    assert_alike(gradients(ours, branch, z, shortcut), gradients(theirs, branch, z, shortcut), 1e-10)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 8), st.integers(1, 8), st.sampled_from(list(LAYOUTS)))
def test_any_shape(n, k, h, w, layout):
    branch, z, shortcut = case(n, k, h, w, layout)
    ours, theirs = fused(branch, z, shortcut), formula(branch, z, shortcut)
    assert_alike([ours], [theirs], 1e-12)
    assert_alike(gradients(ours, branch, z, shortcut), gradients(theirs, branch, z, shortcut), 1e-10)


def test_an_empty_batch():
    branch, z, shortcut = case(0, 4, 3, 3)
    out = fused(branch, z, shortcut)
    assert out.shape == (0, 16, 3, 3)
    assert all(torch.equal(g, torch.zeros_like(g)) for g in gradients(out, branch, z, shortcut))


@pytest.mark.parametrize('layout', LAYOUTS)
def test_gradients_of_gradients_are_the_formulas(layout):
    branch, z, shortcut = case(2, 4, 5, 7, layout)
    ours, theirs = fused(branch, z, shortcut), formula(branch, z, shortcut)
    assert_alike(gradients(ours, branch, z, shortcut, True), gradients(theirs, branch, z, shortcut, True), 1e-10)


@pytest.mark.parametrize('wanted', ['z', 'shortcut', 'conv', 'norm', 'se'])
def test_one_gradient_alone(wanted):
    branch, z, shortcut = case(2, 4, 5, 7)
    branch.requires_grad_(False)
    z, shortcut = z.detach(), shortcut.detach()
    chosen = [dict(z=z, shortcut=shortcut)[wanted]] if wanted in ('z', 'shortcut') else getattr(branch, wanted)
    chosen = chosen if isinstance(chosen, list) else list(chosen.parameters())
    for tensor in chosen:
        tensor.requires_grad_()
    ours, theirs = (torch.autograd.grad(f(branch, z, shortcut).sum(), chosen) for f in (fused, formula))
    assert_alike(ours, theirs, 1e-10)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_as_close_to_float64_as_the_operators_are(dtype):
    branch, z, shortcut = case(2, 16, 9, 11)
    exact = [formula(branch, z, shortcut), *gradients(formula(branch, z, shortcut), branch, z, shortcut)]
    branch.float()
    z, shortcut = (x.detach().to(dtype).requires_grad_() for x in (z, shortcut))
    errors = []
    for tail in (fused, formula):
        with torch.autocast('cpu', dtype=dtype):
            out = tail(branch, z, shortcut)
        found = [out, *gradients(out, branch, z, shortcut)]
        assert [x.dtype for x in found] == [dtype] * 3 + [torch.float32] * (len(found) - 3)
        errors.append([((x.double() - y).norm() / y.norm()).item() for x, y in zip(found, exact, strict=True)])
    # Where a number of either is luck, the unit in the last place of the dtype.
    assert all(ours <= 1.5 * theirs + torch.finfo(dtype).eps for ours, theirs in zip(*errors, strict=True))


def test_a_shortcut_of_another_dtype_is_taken_as_where_it_is_added_in_place():
    branch, z, shortcut = case(1, 4, 5, 7)
    out = fused(branch.float(), z.float(), shortcut)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, formula(branch.float(), z.float(), shortcut.float()))
