"""A training of the demo that the commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import tool
from support.small import DEMO, QUICK, draw_shapes


@pytest.fixture(scope='session')
def data(tmp_path_factory) -> Path:
    """A few of the demo's images."""
    return draw_shapes(tmp_path_factory.mktemp('shapes'), train=8, val=4)


@pytest.fixture(scope='session')
def trained(data, tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('trained')
    done = tool('train', DEMO, '--data-root', data, '--work-dir', work_dir, '--seed', 0, '--cfg-options', *QUICK)
    assert done.returncode == 0, done.stderr[-3000:]
    (work_dir / 'stdout.txt').write_text(done.stdout)
    return work_dir
