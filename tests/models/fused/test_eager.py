"""Tensors without values take the forms that real tensors take."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from se_mm import SEResNet
from se_mm.benchmarks.measuring import kept_bytes
from se_mm.models.fused import is_eager


def kept(depth, norm_eval):
    model = SEResNet(depth, norm_eval=norm_eval, frozen_stages=1)
    model.train()
    image = torch.rand(1, 3, 64, 96)
    return kept_bytes(lambda: model(image), model)


@pytest.mark.parametrize(('depth', 'norm_eval'), [(18, True), (50, True), (50, False)])
def test_as_much_is_kept_without_values_as_with_them(depth, norm_eval):
    expected = kept(depth, norm_eval)
    with torch.device('meta'):
        assert kept(depth, norm_eval) == expected
    for device in ('cpu', 'cuda'):
        with FakeTensorMode(), torch.device(device):
            assert kept(depth, norm_eval) == expected


def test_inference_without_values_gives_the_shapes():
    for deployed in (False, True):
        model = SEResNet(50).eval()
        if deployed:
            model.deploy()
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            shapes = [feature.shape for feature in model(torch.rand(1, 3, 64, 96))]
        assert shapes == [(1, 256 * 2**i, 16 // 2**i, 24 // 2**i) for i in range(4)]


def test_what_is_traced_is_not_eager():
    seen = []

    def function(x):
        seen.append(is_eager(x))
        return x + 1

    torch.compile(function, backend='eager')(torch.ones(2))
    torch.jit.trace(function, torch.ones(2), check_trace=False)
    torch.func.vmap(function)(torch.ones(2))
    torch.export.export(Adds(function), (torch.ones(2),))
    assert len(seen) >= 3
    assert not any(seen)


class Adds(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)
