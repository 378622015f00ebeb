"""The GPU kernels against float64: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch

triton_tail = pytest.importorskip('se_mm.models.fused.triton_tail')

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
SHAPES = [(2, 3, 5, 7), (1, 300, 1, 1), (2, 64, 9, 13), (1, 5, 60, 80), (0, 4, 3, 3), (3, 1, 1, 50)]
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
every_case = pytest.mark.parametrize(
    ('shape', 'dtype', 'layout'),
    [
        (shape, dtype, layout)
        for shape in SHAPES
        for dtype in TOLERANCES
        for layout in (torch.contiguous_format, torch.channels_last)
        if dtype is torch.float32 or shape == SHAPES[2]
    ],
)


def maps(shape, dtype, layout, count):
    generator = torch.Generator().manual_seed(0)
    found = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [m.to(DEVICE, dtype).contiguous(memory_format=layout) for m in found]


def of_channels(shape, dtype, count):
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(shape[:2], generator=generator).to(DEVICE, dtype)[..., None, None] for _ in range(count)]


def close(ours, exact, dtype):
    assert ours.dtype in (dtype, torch.float32, torch.float64)
    scale = max(exact.abs().max().item(), 1.0) if exact.numel() else 1.0
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=TOLERANCES[dtype] * scale)


@every_case
@pytest.mark.parametrize('with_offset', [True, False])
def test_scale_add_relu(shape, dtype, layout, with_offset):
    v, shortcut = maps(shape, dtype, layout, 2)
    slope, offset = of_channels(shape, dtype, 2)
    out = triton_tail.scale_add_relu(v, shortcut, slope, offset if with_offset else None)
    exact = shortcut.double() + slope.double() * v.double() + (offset.double() if with_offset else 0)
    close(out, exact.relu(), dtype)
    assert out.dtype == dtype
    assert out.stride() == v.stride()


@every_case
def test_relu_gradient_and_sums(shape, dtype, layout):
    grad, out, v = maps(shape, dtype, layout, 3)
    out = out.relu()
    masked, with_v, alone = triton_tail.relu_gradient_and_sums(grad, out, v)
    exact = grad.double() * (out > 0)
    assert torch.equal(masked.double(), exact)
    close(with_v, (exact * v.double()).sum((2, 3), keepdim=True), dtype)
    close(alone, exact.sum((2, 3), keepdim=True), dtype)


@every_case
def test_affine(shape, dtype, layout):
    (grad,) = maps(shape, dtype, layout, 1)
    slope, extra = of_channels(shape, dtype, 2)
    close(triton_tail.affine(grad, slope, extra), slope.double() * grad.double() + extra.double(), dtype)


@pytest.mark.parametrize('dtype', TOLERANCES)
def test_the_check_before_their_first_use_passes_and_fails(dtype, monkeypatch):
    triton_tail.check(torch.device(DEVICE), dtype)
    monkeypatch.setattr(triton_tail, 'affine', lambda grad, slope, extra: grad)
    with pytest.raises(AssertionError):
        triton_tail.check(torch.device(DEVICE), dtype)


def test_kernels_that_fail_are_left_out_with_a_warning(monkeypatch):
    module = import_module('se_mm.models.fused.fused_tail')
    monkeypatch.setattr(triton_tail, '_affine_kernel', None)
    module._working_kernels.cache_clear()
    with pytest.warns(UserWarning, match="without its GPU kernels, on torch's operators: TypeError"):
        assert module._working_kernels(torch.device(DEVICE), torch.float32) is None
    module._working_kernels.cache_clear()


def test_maps_of_different_layouts():
    v, shortcut = maps((2, 8, 6, 5), torch.float32, torch.contiguous_format, 2)
    (slope,) = of_channels((2, 8), torch.float32, 1)
    expected = (shortcut + slope * v).relu()
    mixed = triton_tail.scale_add_relu(v.contiguous(memory_format=torch.channels_last), shortcut, slope, None)
    torch.testing.assert_close(mixed, expected)


def test_nan_is_not_hidden_by_the_activation():
    v = torch.full((1, 1, 2, 2), float('nan'), device=DEVICE)
    (slope,) = of_channels((1, 1), torch.float32, 1)
    assert triton_tail.scale_add_relu(v, torch.zeros_like(v), slope, None).isnan().all()
