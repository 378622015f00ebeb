"""Stand-ins whose compiled form runs on CUDA only, against their definitions."""

from __future__ import annotations

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from se_mm import SeMmError
from se_mm.compat.ops import OPERATORS
from se_mm.compat.ops.roi import roi_align_forward

few_examples = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**31 - 1)


@few_examples
@given(
    seed=seeds, rows=st.integers(0, 7), classes=st.integers(1, 5), gamma=st.floats(0.5, 4), alpha=st.floats(0.1, 0.9)
)
def test_sigmoid_focal_loss_is_torchvisions_and_its_gradient_is_autograds(seed, rows, classes, gamma, alpha):
    generator = torch.Generator().manual_seed(seed)
    x = (4 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)).requires_grad_()
    target = torch.randint(classes + 1, (rows,), generator=generator)  # the last one is the background
    one_hot = torch.nn.functional.one_hot(target, classes + 1)[:, :classes].double()
    expected = torchvision.ops.sigmoid_focal_loss(x, one_hot, alpha=alpha, gamma=gamma)
    output, gradient = torch.zeros_like(x), torch.zeros_like(x)
    OPERATORS['sigmoid_focal_loss_forward'](x.detach(), target, x.new_zeros(0), output, gamma=gamma, alpha=alpha)
    OPERATORS['sigmoid_focal_loss_backward'](x.detach(), target, x.new_zeros(0), gradient, gamma=gamma, alpha=alpha)
    torch.testing.assert_close(output, expected.detach(), rtol=1e-10, atol=1e-12)
    (by_autograd,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(gradient, by_autograd, rtol=1e-9, atol=1e-11)


def test_sigmoid_focal_loss_weighs_a_row_by_its_targets_class():
    x = torch.randn(3, 2, dtype=torch.float64)
    target, weight = torch.tensor([0, 1, 2]), torch.tensor([3.0, 5.0], dtype=torch.float64)
    plain, weighted = torch.zeros_like(x), torch.zeros_like(x)
    forward = OPERATORS['sigmoid_focal_loss_forward']
    forward(x, target, x.new_zeros(0), plain, gamma=2.0, alpha=0.25)
    forward(x, target, weight, weighted, gamma=2.0, alpha=0.25)
    torch.testing.assert_close(weighted, plain * torch.tensor([[3.0], [5.0], [1.0]]))


def roi_pool_by_definition(x: Tensor, rois: Tensor, size: int, scale: float) -> Tensor:
    """Fast R-CNN, section 2.1: the maximum over each of size x size cells of a region of whole pixels."""
    rows = []
    for index, *corners in rois.tolist():
        x1, y1, x2, y2 = (int(torch.floor(torch.tensor(c * scale) + 0.5)) for c in corners)
        height, width = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        cells = x.new_zeros(x.size(1), size, size)
        for i in range(size):
            for j in range(size):
                top, bottom = y1 + i * height // size, y1 - (-(i + 1) * height // size)
                left, right = x1 + j * width // size, x1 - (-(j + 1) * width // size)
                cell = x[int(index), :, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
                if cell.numel():
                    cells[:, i, j] = cell.amax((1, 2))
        rows.append(cells)
    pooled = torch.stack(rows) if rows else x.new_zeros(0, x.size(1), size, size)
    return pooled + 0 * x.sum()  # where every cell is empty the gradient is zero, not undefined


@few_examples
@given(seed=seeds, count=st.integers(0, 5), size=st.integers(1, 4), scale=st.sampled_from([1.0, 0.5]))
def test_roi_pool_follows_its_definition(seed, count, size, scale):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, 9, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    corners = torch.randint(0, int(11 / scale), (count, 2, 2), generator=generator)
    rois = torch.cat([torch.randint(2, (count, 1), generator=generator), corners.amin(1), corners.amax(1)], 1).double()
    from mmcv.ops import roi_pool

    pooled = roi_pool(x, rois, size, scale)
    expected = roi_pool_by_definition(x, rois, size, scale)
    torch.testing.assert_close(pooled, expected)
    weights = torch.randn(pooled.shape, generator=generator, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (pooled, expected))
    torch.testing.assert_close(ours, theirs)


@few_examples
@given(seed=seeds, kernel=st.sampled_from([1, 3]), channels=st.integers(1, 3))
def test_masked_conv_is_the_convolution_at_the_chosen_pixels(seed, kernel, channels):
    from mmcv.ops import MaskedConv2d

    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, channels, 6, 7, generator=generator)
    mask = (torch.rand(1, 6, 7, generator=generator) > 0.5).float()
    layer = MaskedConv2d(channels, 4, kernel, padding=kernel // 2)
    with torch.no_grad():
        torch.testing.assert_close(layer(x, mask), layer(x) * mask[:, None], rtol=1e-4, atol=1e-5)


def test_attention_gives_the_values_and_gradients_of_mmcvs_pytorch_form():
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch

    shapes = torch.tensor([[4, 5], [2, 3]])
    starts = torch.tensor([0, 20])
    value = torch.randn(2, 26, 2, 4, dtype=torch.float64, requires_grad=True)
    where = torch.rand(2, 3, 2, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(2, 3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    ours = MultiScaleDeformableAttnFunction.apply(value, shapes, starts, where, weights, 64)
    theirs = multi_scale_deformable_attn_pytorch(value, shapes, where, weights)
    torch.testing.assert_close(ours, theirs)
    inputs = (value, where, weights)
    for a, b in zip(
        torch.autograd.grad(ours.square().sum(), inputs),
        torch.autograd.grad(theirs.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_maps_are_pooled_in_their_own_dtype(dtype):
    from mmcv.ops import roi_align

    x = torch.randn(1, 2, 8, 8)
    rois = torch.tensor([[0, 1.0, 1.0, 6.0, 5.0]])
    half = roi_align(x.to(dtype), rois.to(dtype), 3)
    assert half.dtype is dtype
    torch.testing.assert_close(half.float(), roi_align(x, rois, 3), rtol=0.05, atol=0.05)


def test_roi_align_refuses_the_maximum():
    x, empty = torch.zeros(1, 1, 4, 4), torch.zeros(0)
    with pytest.raises(SeMmError, match="roi_align.*pool_mode='avg'"):
        roi_align_forward(
            x, torch.zeros(1, 5), torch.zeros(1, 1, 2, 2), empty, empty,
            aligned_height=2, aligned_width=2, spatial_scale=1.0, sampling_ratio=0, pool_mode=0, aligned=True,
        )  # fmt: skip
