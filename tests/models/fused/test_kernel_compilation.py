"""The GPU kernels compiled for their targets: accesses to maps are wide, and nothing spills to local memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support.gpu_compilation import DTYPES, LARGEST, MAPS, SAMPLE, TARGETS
from support.helpers import REPOSITORY

COMPLETE = pytest.param(True, marks=pytest.mark.soak)  # minutes


#: A GPU of each maker; the suite leaves the others to ``make soak``.
SUITE = ('sm_90', 'gfx942')


@pytest.mark.parametrize('everything', [False, COMPLETE])
@pytest.mark.parametrize(
    'target', [target if target in SUITE else pytest.param(target, marks=pytest.mark.soak) for target in TARGETS]
)
def test_every_kernel_compiles_with_wide_accesses_and_without_spills(target, everything, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != 'TRITON_INTERPRET'}
    environment |= {'TRITON_CACHE_DIR': str(tmp_path), 'PYTHONPATH': str(REPOSITORY)}
    command = [sys.executable, '-m', 'support.gpu_compilation', *['--all'] * everything, target]
    run = subprocess.run(command, cwd=REPOSITORY / 'tests', env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    rows = json.loads(run.stdout.splitlines()[-1])

    assert {row['kernel'] for row in rows} == {'_affine_sum_kernel', '_row_sums_kernel', '_column_sums_kernel'}
    assert {row['dtype'] for row in rows} == {str(dtype) for dtype in (DTYPES if everything else DTYPES[:3])}
    for row in rows:
        assert row['spilled'] == 0, row
        assert row['wide'] > 0, row
        groups_cross_rows = row['shape'][1] * row['shape'][2] % 8 and row['layout'] == 'torch.contiguous_format'
        if row['kernel'] != '_row_sums_kernel' or not groups_cross_rows:
            assert row['narrow loads'] == row['narrow stores'] == 0, row
        elif row['dtype'] in ('torch.float16', 'torch.bfloat16'):
            # The ends of a tile of rows, two groups each: 3 maps are read there and 1 written.
            ends = row['narrow stores']
            assert 1 <= ends <= 4, row
            assert row['narrow loads'] == ends * (2 if row['launch'] == 'sum' else 3), row


def test_the_sample_has_a_map_of_each_kind():
    assert set(SAMPLE) < set(MAPS)
    assert {c * h * w % 8 for c, h, w in MAPS} == {0}
    assert [bool(h * w % 8) for _, h, w in SAMPLE] == [False, True]
    assert len(LARGEST) == 3
