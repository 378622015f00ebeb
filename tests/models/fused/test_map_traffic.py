"""What a training step reads and writes, as docs/performance.md has it."""

from __future__ import annotations

import pytest
import torch
from support.map_traffic import ROWS, Traffic, of_step
from torch import nn

pytest.importorskip('se_mm.models.fused.triton_kernels')


def test_passes_of_plain_operators():
    x = torch.empty(2, 16, 64, 64, device='meta')
    conv, norm = nn.Conv2d(16, 16, 1, device='meta'), nn.BatchNorm2d(16, device='meta').eval()
    of_map = x.numel() * 4
    for run, maps in (
        (lambda: conv(x), 4),  # read, written, and both again for the bias
        (lambda: nn.functional.conv2d(x, conv.weight), 2),
        (lambda: norm(x).relu_(), 4),
        (lambda: x.flatten(2) + 1, 2),
        (lambda: torch.add(x, x, out=torch.empty_like(x)), 3),
    ):
        with Traffic(conv, smallest=0) as traffic:
            run()
        assert round(traffic.bytes.total() / of_map, 2) == maps


@pytest.mark.parametrize('norms', ROWS)
def test_a_step_of_the_se_network_moves_less_than_the_plain_one(norms):
    plain, *_, ours = (
        sum((f + b).total() for f, b in [of_step(build, (2, 3, 400, 672))]) for build in ROWS[norms].values()
    )
    assert ours < plain
