"""Each stand-in against the compiled operator of mmcv, values and gradients, on random shapes.

Both are called by mmcv's own call convention, so the test is of what ``mmcv.ops`` sees. It
needs a compiled mmcv: one that is installed, or a folder that holds one (``make test-ops``).
"""

from __future__ import annotations

import importlib.util
import os
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from se_mm.compat.ops import OPERATORS

FOLDER = 'SE_MM_COMPILED_MMCV'


def _compiled() -> ModuleType | None:
    where = [os.environ[FOLDER] + '/mmcv'] if FOLDER in os.environ else None
    if where is None:
        mmcv = importlib.util.find_spec('mmcv')
        where = [str(Path(mmcv.origin).parent)]
    spec = PathFinder.find_spec('mmcv._ext', where)
    if spec is None:
        return None
    try:
        module = importlib.util.module_from_spec(spec)
    except ImportError:  # built against another torch
        return None
    spec.loader.exec_module(module)
    return module


COMPILED = _compiled()
pytestmark = pytest.mark.skipif(
    COMPILED is None, reason=f'no compiled mmcv is installed, and {FOLDER} names none: run `make test-ops`'
)
many_examples = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**31 - 1)


def both(name: str, *args, outputs: tuple[int, ...], **kwargs) -> list[tuple[Tensor, Tensor]]:
    """Calls the stand-in and the compiled operator on copies; pairs of their output arguments, or their results."""
    results = []
    for function in (OPERATORS[name], getattr(COMPILED, name)):
        copies = [a.clone() if isinstance(a, Tensor) else a for a in args]
        returned = function(*copies, **kwargs)
        results.append([copies[i] for i in outputs] if outputs else [returned])
    return list(zip(*results, strict=True))


def assert_close(pairs: list[tuple[Tensor, Tensor]], tolerance: float) -> None:
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def random_rois(generator: torch.Generator, count: int, batch: int, side: float) -> Tensor:
    corners = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64) * side * 1.2 - 0.1 * side
    boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1)
    index = torch.randint(batch, (count, 1), generator=generator).double()
    return torch.cat([index, boxes], dim=1)


@many_examples
@given(
    seed=seeds,
    count=st.integers(0, 9),
    channels=st.integers(1, 4),
    height=st.integers(1, 17),
    width=st.integers(1, 17),
    out=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    ratio=st.integers(0, 3),
    aligned=st.booleans(),
    scale=st.sampled_from([1.0, 0.5, 0.25]),
)
def test_roi_align(seed, count, channels, height, width, out, ratio, aligned, scale):
    generator = torch.Generator().manual_seed(seed)
    rois = random_rois(generator, count, 2, max(height, width) / scale)
    x = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
    empty = x.new_zeros(0)
    options = dict(
        aligned_height=out[0],
        aligned_width=out[1],
        spatial_scale=scale,
        sampling_ratio=ratio,
        pool_mode=1,
        aligned=aligned,
    )
    output = x.new_zeros(count, channels, *out)
    assert_close(both('roi_align_forward', x, rois, output, empty, empty, outputs=(2,), **options), 1e-9)
    gradient = torch.randn(output.shape, generator=generator, dtype=torch.float64)
    args = (gradient, rois, empty, empty, torch.zeros_like(x))
    assert_close(both('roi_align_backward', *args, outputs=(4,), **options), 1e-9)


def random_boxes(generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
    low = torch.rand(count, 2, generator=generator) * 50
    boxes = torch.cat([low, low + torch.rand(count, 2, generator=generator) * 40], dim=1)
    scores = torch.randperm(count, generator=generator) / max(count, 1) + 1e-3  # distinct: ties have no order
    return boxes, scores


@many_examples
@given(seed=seeds, count=st.integers(0, 60), threshold=st.floats(0.05, 0.95), offset=st.integers(0, 1))
def test_nms(seed, count, threshold, offset):
    boxes, scores = random_boxes(torch.Generator().manual_seed(seed), count)
    ((ours, theirs),) = both('nms', boxes, scores, outputs=(), iou_threshold=threshold, offset=offset)
    assert ours.tolist() == theirs.tolist()


@many_examples
@given(
    seed=seeds,
    count=st.integers(0, 40),
    threshold=st.floats(0.05, 0.95),
    offset=st.integers(0, 1),
    method=st.integers(0, 2),
    sigma=st.floats(0.1, 1.0),
    min_score=st.sampled_from([1e-3, 0.05, 0.3]),
)
def test_softnms(seed, count, threshold, offset, method, sigma, min_score):
    boxes, scores = random_boxes(torch.Generator().manual_seed(seed), count)
    options = dict(iou_threshold=threshold, sigma=sigma, min_score=min_score, method=method, offset=offset)
    results = []
    for function in (OPERATORS['softnms'], COMPILED.softnms):
        dets = torch.zeros(count, 5)
        chosen = function(boxes.clone(), scores.clone(), dets, **options)
        results.append((chosen, dets[: len(chosen)]))
    (ours, our_dets), (theirs, their_dets) = results
    assert ours.tolist() == theirs.tolist()
    torch.testing.assert_close(our_dets, their_dets)


@many_examples
@given(seed=seeds, count=st.integers(1, 40), threshold=st.floats(0.05, 0.95))
def test_nms_match(seed, count, threshold):
    boxes, scores = random_boxes(torch.Generator().manual_seed(seed), count)
    dets = torch.cat([boxes, scores[:, None]], dim=1)
    ((ours, theirs),) = both('nms_match', dets, outputs=(), iou_threshold=threshold)
    assert ours == theirs


@many_examples
@given(
    seed=seeds,
    m=st.integers(1, 12),
    n=st.integers(1, 12),
    mode=st.integers(0, 1),
    aligned=st.booleans(),
    offset=st.integers(0, 1),
)
def test_bbox_overlaps(seed, m, n, mode, aligned, offset):
    generator = torch.Generator().manual_seed(seed)
    first, second = random_boxes(generator, m)[0], random_boxes(generator, m if aligned else n)[0]
    ious = torch.zeros(m) if aligned else torch.zeros(m, n)
    options = dict(mode=mode, aligned=aligned, offset=offset)
    assert_close(both('bbox_overlaps', first, second, ious, outputs=(2,), **options), 1e-5)


convolutions = dict(
    seed=seeds,
    batch=st.integers(1, 3),
    side=st.tuples(st.integers(5, 11), st.integers(5, 11)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    group=st.sampled_from([1, 2]),
    deformable_group=st.sampled_from([1, 2]),
)


class Convolution:
    """Random operands of one deformable convolution of 4 channels to 6."""

    def __init__(self, seed, batch, side, kernel, stride, padding, dilation, group, deformable_group):
        generator = torch.Generator().manual_seed(seed)

        def randn(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        points = kernel[0] * kernel[1] * deformable_group
        out = [(side[i] + 2 * padding - dilation * (kernel[i] - 1) - 1) // stride + 1 for i in (0, 1)]
        self.x = randn(batch, 4, *side)
        self.weight = randn(6, 4 // group, *kernel)
        self.offset = 2 * randn(batch, 2 * points, *out)
        self.mask = randn(batch, points, *out).sigmoid()
        self.bias = randn(6)
        self.gradient = randn(batch, 6, *out)
        self.scratch = self.x.new_zeros(0)


@many_examples
@given(**convolutions)
def test_deform_conv(seed, batch, side, kernel, stride, padding, dilation, group, deformable_group):
    c = Convolution(seed, batch, side, kernel, stride, padding, dilation, group, deformable_group)
    options = dict(
        kW=kernel[1], kH=kernel[0], dW=stride, dH=stride, padW=padding, padH=padding, dilationW=dilation,
        dilationH=dilation, group=group, deformable_group=deformable_group, im2col_step=batch,
    )  # fmt: skip
    args = (c.x, c.weight, c.offset, torch.zeros_like(c.gradient), c.scratch, c.scratch)
    assert_close(both('deform_conv_forward', *args, outputs=(3,), **options), 1e-9)
    args = (c.x, c.offset, c.gradient, torch.zeros_like(c.x), torch.zeros_like(c.offset), c.weight, c.scratch)
    assert_close(both('deform_conv_backward_input', *args, outputs=(3, 4), **options), 1e-9)
    args = (c.x, c.offset, c.gradient, torch.zeros_like(c.weight), c.scratch, c.scratch)
    assert_close(both('deform_conv_backward_parameters', *args, outputs=(3,), scale=1.0, **options), 1e-9)


@many_examples
@given(**convolutions, with_bias=st.booleans())
def test_modulated_deform_conv(
    seed, batch, side, kernel, stride, padding, dilation, group, deformable_group, with_bias
):
    c = Convolution(seed, batch, side, kernel, stride, padding, dilation, group, deformable_group)
    options = dict(
        kernel_h=kernel[0], kernel_w=kernel[1], stride_h=stride, stride_w=stride, pad_h=padding, pad_w=padding,
        dilation_h=dilation, dilation_w=dilation, group=group, deformable_group=deformable_group, with_bias=with_bias,
    )  # fmt: skip
    bias = c.bias if with_bias else c.scratch
    args = (c.x, c.weight, bias, c.scratch, c.offset, c.mask, torch.zeros_like(c.gradient), c.scratch)
    assert_close(both('modulated_deform_conv_forward', *args, outputs=(6,), **options), 1e-9)
    grads = [torch.zeros_like(t) for t in (c.x, c.weight, bias, c.offset, c.mask)]
    args = (c.x, c.weight, bias, c.scratch, c.offset, c.mask, c.scratch, *grads, c.gradient)
    outputs = (7, 8, 10, 11) + ((9,) if with_bias else ())
    assert_close(both('modulated_deform_conv_backward', *args, outputs=outputs, **options), 1e-9)
