"""``make gpu``, tried on the CPU."""

from __future__ import annotations

import pytest


@pytest.mark.soak
def test_each_part_of_the_page_is_measured(capsys):
    pytest.importorskip('se_mm.models.fused.triton_kernels')
    from support import gpu

    lines = list(gpu.page('cpu', small=True))
    assert 'Traceback (most recent call last):' not in lines
    assert sum(line.startswith('## ') for line in lines) == 5
    assert any(line.startswith('| SE-ResNet-18, AMP |') for line in lines)
    assert any(line.startswith('| 2x16x7x9, float16, channels_last |') for line in lines)
