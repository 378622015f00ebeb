"""Pictures that the trainings share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small import draw_scenes, draw_shapes


@pytest.fixture(scope='session')
def scenes(tmp_path_factory) -> Path:
    """18 pictures of two classes to train on, and 4 to validate on."""
    return draw_scenes(tmp_path_factory.mktemp('scenes'))


@pytest.fixture(scope='session')
def shapes(tmp_path_factory) -> Path:
    """18 pictures with boxes to train on, and 2 to validate on."""
    return draw_shapes(tmp_path_factory.mktemp('shapes'), train=18, val=2)
