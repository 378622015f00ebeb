"""The benchmark measures what it says, of everybody in turn."""

from __future__ import annotations

import pytest
import torch

from se_mm import SeMmError
from se_mm.benchmarks import networks as benchmark
from se_mm.visualization.benchmarks import draw_benchmark


@pytest.mark.parametrize('mode', ['inference', 'training', 'detector-inference', 'detector-training'])
def test_every_contestant_is_measured_in_every_form(mode, tmp_path):
    measured = benchmark.measure(mode, 18, (1, 64, 96), rounds=2)
    names = {entry.name for entry in measured}
    assert {entry.form for entry in measured} == set(benchmark.forms(mode, compiled=False))
    assert any('mmdet.ResNet' in name for name in names)
    assert all(len(entry.seconds) == 2 and entry.median > 0 and entry.peak > 0 for entry in measured)
    lines = benchmark.table(measured)
    assert len(lines) == 2 + len(measured)
    assert '%' in lines[2].split('|')[6]  # the first line has a plain twin beside it
    draw_benchmark(measured, mode, tmp_path / 'chart.png')
    assert (tmp_path / 'chart.png').stat().st_size > 5000


def test_the_peak_is_the_most_that_is_held_at_a_time():
    def run():
        first = torch.zeros(1000, dtype=torch.float32)  # 4,000 bytes
        second = first + 1  # 8,000 are held
        del first
        return second * 2  # 8,000 again

    assert 8000 <= benchmark.peak_bytes(run) < 8100  # the numbers themselves are tensors for a while


def test_a_gpu_that_is_not_there_is_said():
    if torch.cuda.is_available():
        pytest.skip('there is one')
    with pytest.raises(SeMmError, match='--device cuda: torch finds no GPU'):
        benchmark.measure('inference', 18, (1, 64, 64), 1, device='cuda')
