"""The GPU kernels against float64: on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from se_mm.models.fused import passes

triton_kernels = pytest.importorskip('se_mm.models.fused.triton_kernels')

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
#: Rows that groups of 8, 4 and 2 divide and do not, longer than a tile and shorter than a group; nothing at all.
SHAPES = [
    (2, 3, 5, 7), (1, 300, 1, 1), (2, 64, 9, 13), (1, 5, 60, 80), (0, 4, 3, 3), (3, 1, 1, 50),
    (2, 16, 7, 7), (2, 24, 4, 6), (3, 7, 1, 3), (1, 3, 93, 97),
]  # fmt: skip
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
LAYOUTS = (torch.contiguous_format, torch.channels_last)
every_case = pytest.mark.parametrize(
    ('shape', 'dtype', 'layout'),
    [(s, d, m) for s in SHAPES for d in TOLERANCES for m in LAYOUTS if d is torch.float16 or s == SHAPES[2]],
)


def maps(shape, dtype, layout, count):
    generator = torch.Generator().manual_seed(0)
    found = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [m.to(DEVICE, dtype).contiguous(memory_format=layout) for m in found]


def of_channels(shape, count, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(shape[:2], generator=generator).to(DEVICE, dtype)[..., None, None] for _ in range(count)]


def close(ours, exact, dtype):
    scale = max(exact.abs().max().item(), 1.0) if exact.numel() else 1.0
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=TOLERANCES[dtype] * scale)


def check_affine_sum(shape, dtype, layout, present, relu, in_place):
    x, y = maps(shape, dtype, layout, 2)
    slope, offset = of_channels(shape, 2)
    of_y = torch.linspace(0.5, 1.5, shape[1], device=DEVICE)
    parts = dict(slope=slope, offset=offset, y=y, slope_y=of_y)
    given_parts = {name: part if name in present else None for name, part in parts.items()}
    if 'y' not in present:
        given_parts['slope_y'] = None
    exact = x.double() * (slope.double() if 'slope' in present else 1)
    exact = exact + (offset.double() if 'offset' in present else 0)
    if 'y' in present:
        exact = exact + y.double() * (of_y.double()[:, None, None] if 'slope_y' in present else 1)
    out = triton_kernels.affine_sum(x, **given_parts, relu=relu, out=x if in_place else None)
    close(out, exact.relu() if relu else exact, dtype)
    assert (out is x) == in_place
    assert (out.dtype, out.stride()) == (dtype, x.stride())


@every_case
@pytest.mark.parametrize('present', [('slope', 'y'), ('offset',), ('slope', 'offset', 'y', 'slope_y')])
def test_affine_sum(shape, dtype, layout, present):
    check_affine_sum(shape, dtype, layout, present, relu=len(present) < 4, in_place=len(present) == 1)


SIZES = st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 24), st.integers(1, 24))


@given(
    SIZES, st.sampled_from(list(TOLERANCES)), st.sampled_from(LAYOUTS),
    st.sets(st.sampled_from(['slope', 'offset', 'y', 'slope_y'])), st.booleans(), st.booleans(),
)  # fmt: skip
def test_affine_sum_of_any_shape_and_parts(shape, dtype, layout, present, relu, in_place):
    check_affine_sum(shape, dtype, layout, present, relu, in_place)


def check_sums(shape, dtype, layout, with_v, centred):
    grad, out, v = maps(shape, dtype, layout, 3)
    out = out.relu()
    centre = torch.linspace(-1, 1, shape[1], device=DEVICE) if centred else None
    masked, alone, product = triton_kernels.relu_gradient_and_sums(grad, out, v if with_v else None, centre)
    exact = grad.double() * (out > 0)
    assert torch.equal(masked.double(), exact)
    assert masked.stride() == out.stride()
    close(alone, exact.sum((2, 3), keepdim=True), dtype)
    if with_v:
        shift = 0 if centre is None else centre.double()[:, None, None]
        close(product, (exact * (v.double() - shift)).sum((2, 3), keepdim=True), dtype)
    assert (product is not None) == with_v


@every_case
@pytest.mark.parametrize(('with_v', 'centred'), [(True, False), (True, True), (False, False)])
def test_relu_gradient_and_sums(shape, dtype, layout, with_v, centred):
    check_sums(shape, dtype, layout, with_v, centred)


@given(SIZES, st.sampled_from(list(TOLERANCES)), st.sampled_from(LAYOUTS), st.booleans(), st.booleans())
def test_sums_of_any_shape(shape, dtype, layout, with_v, centred):
    check_sums(shape, dtype, layout, with_v, centred)


def test_maps_of_different_layouts():
    x, y = maps((2, 8, 6, 5), torch.float32, torch.contiguous_format, 2)
    mixed = triton_kernels.affine_sum(x.contiguous(memory_format=torch.channels_last), y=y)
    torch.testing.assert_close(mixed, x + y)


def test_nan_is_not_hidden_by_the_activation():
    x = torch.full((1, 1, 2, 2), float('nan'), device=DEVICE)
    assert triton_kernels.affine_sum(x, relu=True).isnan().all()


@pytest.mark.parametrize('dtype', TOLERANCES)
def test_the_check_before_their_first_use_passes_and_fails(dtype, monkeypatch):
    triton_kernels.check(torch.device(DEVICE), dtype)
    monkeypatch.setattr(triton_kernels, 'affine_sum', lambda x, *args, **kwargs: x)
    with pytest.raises(AssertionError):
        triton_kernels.check(torch.device(DEVICE), dtype)


def test_kernels_that_fail_are_left_out_with_a_warning(monkeypatch):
    monkeypatch.setattr(triton_kernels, '_affine_sum_kernel', None)
    passes._working_kernels.cache_clear()
    with pytest.warns(UserWarning, match="without its GPU kernels, on torch's operators: TypeError"):
        assert passes._working_kernels(torch.device(DEVICE), torch.float32) is None
    passes._working_kernels.cache_clear()
