"""Deformable convolution against its definition: at the edges of the map, and with more offsets than positions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import se_mm  # noqa: F401  its stand-ins are under test


def by_definition(x: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Equation 1 of arXiv 1811.11168, one sample at a time, for one group.

    As mmcv's kernels read it: a coordinate <= -1 or >= the size is outside, and has no slope; offsets
    and masks of an image are read in the order of memory, as if of the output's height and width.
    """
    batch, channels, height, width = x.shape
    kernel_h, kernel_w = weight.shape[-2:]
    out_h, out_w = (height + 2 * padding - kernel_h) // stride + 1, (width + 2 * padding - kernel_w) // stride + 1
    outside = x.new_zeros(channels)
    images = []
    for b in range(batch):
        shifts, scales = offset[b].flatten(), None if mask is None else mask[b].flatten()
        pixels = {(i, j): x[b, :, i, j] for i in range(height) for j in range(width)}
        columns = []
        for i in range(out_h):
            for j in range(out_w):
                total = x.new_zeros(len(weight))
                for k in range(kernel_h * kernel_w):
                    y = i * stride - padding + k // kernel_w + shifts[(2 * k * out_h + i) * out_w + j]
                    z = j * stride - padding + k % kernel_w + shifts[((2 * k + 1) * out_h + i) * out_w + j]
                    if y <= -1 or z <= -1 or y >= height or z >= width:
                        continue
                    top, left = math.floor(y), math.floor(z)
                    down, right = y - top, z - left
                    value = (
                        (1 - down) * (1 - right) * pixels.get((top, left), outside)
                        + (1 - down) * right * pixels.get((top, left + 1), outside)
                        + down * (1 - right) * pixels.get((top + 1, left), outside)
                        + down * right * pixels.get((top + 1, left + 1), outside)
                    )
                    scale = 1 if scales is None else scales[(k * out_h + i) * out_w + j]
                    total = total + weight[:, :, k // kernel_w, k % kernel_w] @ (scale * value)
                columns.append(total)
        images.append(torch.stack(columns, 1).view(-1, out_h, out_w))
    return torch.stack(images)


def assert_same(ours: Tensor, expected: Tensor, inputs: list[Tensor]) -> None:
    """Values and the gradients by each input."""
    torch.testing.assert_close(ours, expected)
    slopes = torch.linspace(-1, 2, ours.numel(), dtype=ours.dtype).view_as(ours)
    for a, b in zip(
        torch.autograd.grad((ours * slopes).sum(), inputs),
        torch.autograd.grad((expected * slopes).sum(), inputs, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    modulated=st.booleans(),
    surplus=st.integers(0, 2),
)
def test_whole_pixels_around_the_edge_follow_the_definition(seed, kernel, stride, modulated, surplus):
    """Samples at exactly -1, 0, H - 1 and H, half of them by whole offsets; ``surplus`` rows and columns too many."""
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    surplus *= modulated  # mmcv checks the plain form's offsets
    x, weight = randn(2, 2, 4, 5).requires_grad_(), randn(3, 2, *kernel).requires_grad_()
    out = [(size + 2 - k) // stride + 1 + surplus for size, k in zip((4, 5), kernel, strict=True)]
    points = kernel[0] * kernel[1]
    offset = 2 * randn(2, 2 * points, *out)
    offset = torch.where(randn(*offset.shape) > 0, offset.round(), offset).requires_grad_()
    mask = randn(2, points, *out).sigmoid().requires_grad_()
    if modulated:
        ours = modulated_deform_conv2d(x, offset, mask, weight, None, stride, 1)
    else:
        ours = deform_conv2d(x, offset, weight, stride, 1)
    expected = by_definition(x, offset, mask if modulated else None, weight, stride, 1)
    assert_same(ours, expected, [x, weight, offset, *([mask] if modulated else [])])


@pytest.mark.parametrize('channels_last', [False, True])
def test_mmdets_dyhead_runs_and_learns(channels_last):
    """Its offsets come from a finer level than the convolution's output."""
    from mmdet.models.necks import DyHead

    neck = DyHead(in_channels=8, out_channels=16, num_blocks=2)
    format = torch.channels_last if channels_last else torch.contiguous_format
    levels = [torch.rand(1, 8, size, size).to(memory_format=format) for size in (32, 16, 8)]
    outs = neck(levels)
    assert [tuple(out.shape) for out in outs] == [(1, 16, 32, 32), (1, 16, 16, 16), (1, 16, 8, 8)]
    sum(out.square().mean() for out in outs).backward()
    assert all(block.spatial_conv_offset.weight.grad.abs().sum() > 0 for block in neck.dyhead_blocks)
