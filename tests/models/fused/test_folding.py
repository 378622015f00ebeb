"""A convolution with its frozen norm folded in, inside autograd, against the two one by one."""

from __future__ import annotations

import pytest
import torch
from mmcv.cnn import ConvWS2d
from torch import nn

from se_mm.models.fused import folded_affine, folded_conv, folded_downsample, folds_downsample

GEOMETRIES = {
    '1x1': dict(kernel_size=1),
    'strided': dict(kernel_size=1, stride=2),
    '3x3': dict(kernel_size=3, stride=2, padding=1, bias=False),
    'groups': dict(kernel_size=3, padding=1, groups=4, bias=False),
    'dilated': dict(kernel_size=3, padding=2, dilation=2),
}

SAME, CIRCULAR = dict(padding='same'), dict(padding_mode='circular')


def case(name='3x3', dtype=torch.float64):
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(8, 12, **GEOMETRIES[name]).to(dtype), nn.BatchNorm2d(12).to(dtype).eval()
    for part in ('weight', 'bias', 'running_mean', 'running_var'):
        getattr(norm, part).data.uniform_(0.5, 1.5)
    return torch.randn(2, 8, 7, 9, dtype=dtype, requires_grad=True), conv, norm


def both(x, conv, norm, relu):
    plain = norm(conv(x))
    return folded_conv(x, conv, folded_affine(conv, norm), relu), plain.relu() if relu else plain


@pytest.mark.usefixtures('either')
@pytest.mark.parametrize('twice', [False, True])
@pytest.mark.parametrize('relu', [False, True])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('name', GEOMETRIES)
def test_output_and_gradients_are_those_of_the_two(name, layout, relu, twice):
    x, conv, norm = case(name)
    inputs = [x, *conv.parameters(), *norm.parameters()]
    found = []
    for out in both(x.contiguous(memory_format=layout), conv, norm, relu):
        numbers = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
        grads = torch.autograd.grad((out.square() * numbers).sum(), inputs, create_graph=twice)
        if twice:
            grads = torch.autograd.grad(sum(g.square().sum() for g in grads), inputs)
        found.append((out, *grads))
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() <= 1e-12 * theirs.norm()


def test_what_needs_no_gradient_gets_none():
    x, conv, norm = case()
    conv.requires_grad_(False)
    both(x, conv, norm, True)[0].sum().backward()
    assert conv.weight.grad is None
    assert x.grad.any()
    assert norm.weight.grad.any()


def test_autograd_keeps_the_input_and_the_output_alone():
    x, conv, norm = case()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out = folded_conv(x, conv, folded_affine(conv, norm), relu=True)
    large = [t.data_ptr() for t in kept if t.numel() > norm.num_features]
    assert sorted(large) == sorted([x.data_ptr(), out.data_ptr(), conv.weight.data_ptr()])


@pytest.mark.usefixtures('either')
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_under_autocast_weights_are_folded_in_float32_and_cast_once(dtype):
    x, conv, norm = case(dtype=torch.float32)
    with torch.autocast('cpu', dtype=dtype):
        out, _ = both(x, conv, norm, True)
    assert out.dtype == dtype
    out.float().square().sum().backward()
    assert {p.grad.dtype for p in (x, conv.weight, norm.weight)} == {torch.float32}
    exact = norm.double()(conv.double()(x.double())).relu()
    assert (out.double() - exact).norm() < 2 * torch.finfo(dtype).eps * exact.norm()


def test_what_cannot_be_folded_is_not():
    _, conv, norm = case()
    assert folded_affine(conv, norm) is not None
    for other in (
        ConvWS2d(8, 12, 3),
        nn.Conv2d(8, 12, 3, padding_mode='circular'),
        nn.Conv2d(8, 12, 3, padding='same'),
    ):
        assert folded_affine(other, norm) is None
    for other in (nn.BatchNorm2d(12), nn.GroupNorm(3, 12), nn.BatchNorm2d(12, track_running_stats=False).eval()):
        assert folded_affine(conv, other) is None
    conv.register_forward_hook(lambda *_: None)
    assert folded_affine(conv, norm) is None


def test_a_projection_is_folded_unless_it_is_watched():
    x, conv, norm = case('1x1')
    projection = nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False), conv, norm)
    assert folds_downsample(projection)
    torch.testing.assert_close(folded_downsample(x, projection), projection(x), rtol=1e-12, atol=1e-12)
    assert not folds_downsample(conv)
    projection.register_forward_hook(lambda *_: None)
    assert not folds_downsample(projection)
