"""The block: its equations, its rounding, its range, and its use as a plugin."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmpretrain.models.utils import SELayer as MMPretrainSELayer
from timm.layers import make_divisible

from se_mm import SELayer, SEResNet, residual_tail
from se_mm.models.attention import squeeze_channels

many = settings(max_examples=40, deadline=None)


@many
@given(
    n=st.integers(0, 3), c=st.sampled_from([8, 24, 64]), h=st.integers(1, 9), w=st.integers(1, 9),
    bias=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_it_is_the_papers_equations(n, c, h, w, bias, seed):
    torch.manual_seed(seed)
    layer = SELayer(c, reduction=4, bias=bias).double()
    u = torch.randn(n, c, h, w, dtype=torch.float64)
    z = u.sum((2, 3)) / (h * w)
    w1, w2 = layer.fc1.weight[..., 0, 0], layer.fc2.weight[..., 0, 0]
    b1, b2 = (layer.fc1.bias, layer.fc2.bias) if bias else (0.0, 0.0)
    hidden = (z @ w1.T + b1).clamp(min=0)
    s = 1 / (1 + torch.exp(-(hidden @ w2.T + b2)))
    torch.testing.assert_close(layer(u), u * s[:, :, None, None], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('channels', [64, 128, 256, 512, 1024, 2048])
def test_the_bottleneck_is_as_wide_as_mmpretrains(channels):
    for reduction in (2, 4, 8, 16, 32):
        theirs = MMPretrainSELayer(channels, ratio=reduction).conv1.conv
        assert squeeze_channels(channels, reduction) == theirs.out_channels


@many
@given(shape=st.tuples(st.integers(0, 2), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)), last=st.booleans())
def test_the_tail_is_its_equation_recorded_or_not(shape, last):
    layout = torch.channels_last if last else torch.contiguous_format
    u, shortcut = (torch.randn(shape, dtype=torch.float64).to(memory_format=layout) for _ in range(2))
    s = torch.rand(*shape[:2], 1, 1, dtype=torch.float64)
    expected = torch.relu(shortcut + s * u)
    kept = shortcut.clone()
    recorded = residual_tail(u.clone().requires_grad_(), shortcut, s, torch.nn.ReLU(inplace=True))
    torch.testing.assert_close(recorded, expected)
    torch.testing.assert_close(residual_tail(u, shortcut, s, torch.nn.ReLU(inplace=True)), expected)
    assert torch.equal(shortcut, kept)


def test_the_tail_allocates_no_map_when_nothing_is_recorded():
    u, shortcut = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    out = residual_tail(u, shortcut, torch.rand(1, 4, 1, 1), torch.relu_)
    assert out.data_ptr() == u.data_ptr()


def test_the_tails_gradients_are_right():
    torch.manual_seed(0)
    u, shortcut = (torch.randn(2, 3, 4, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    s = torch.rand(2, 3, 1, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *args: residual_tail(*args, torch.relu), (u, shortcut, s))


def test_as_a_plugin_of_any_mmdet_resnet():
    from mmdet.models import ResNet

    plain = ResNet(50).double()
    plugin = dict(cfg=dict(type='se_mm.SELayer', reduction=8), stages=(False, True, True, True), position='after_conv3')
    hosted = ResNet(50, plugins=[plugin]).double()
    added = sum(p.numel() for p in hosted.parameters()) - sum(p.numel() for p in plain.parameters())
    blocks = {512: 4, 1024: 6, 2048: 3}
    assert added == sum(n * (2 * c * (c // 8) + c + c // 8) for c, n in blocks.items())
    assert hosted.layer2[0].se.reduction == 8
    hosted.eval()
    assert [f.shape[1] for f in hosted(torch.randn(1, 3, 64, 64, dtype=torch.float64))] == [256, 512, 1024, 2048]


@given(channels=st.integers(1, 4096), reduction=st.integers(1, 64), divisor=st.sampled_from([2, 4, 8, 16, 32]))
def test_the_width_is_timms_for_every_number_of_channels(channels, reduction, divisor):
    assert squeeze_channels(channels, reduction, divisor) == make_divisible(
        channels * (1 / reduction), divisor, round_limit=0.0
    )


@pytest.mark.parametrize('base_channels', [1, 3])
def test_networks_as_narrow_as_mmdets_own_tests_build(base_channels):
    SEResNet(50, base_channels=base_channels, stem_channels=base_channels)
