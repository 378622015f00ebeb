"""Pixel jitter adds one number to a picture, within its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS

from se_mm import SeMmError


def test_it_adds_every_number_in_its_range_and_no_other():
    jitter = TRANSFORMS.build(dict(type='se_mm.PixelJitter', delta=3))
    picture = np.array([[100, 150, 200]], np.uint8)
    np.random.seed(0)
    added = [jitter({'img': picture})['img'].astype(int) - picture for _ in range(200)]
    assert all((difference == difference[0, 0]).all() for difference in added)
    assert {int(difference[0, 0]) for difference in added} == set(range(-3, 4))


def test_it_is_clipped_to_8_bits():
    jitter = TRANSFORMS.build(dict(type='se_mm.PixelJitter', delta=255))
    for _ in range(20):
        jittered = jitter({'img': np.array([[0, 255]], np.uint8)})['img']
        assert jittered.dtype == np.uint8
        assert jittered[0, 0] == 0 or jittered[0, 1] == 255


@pytest.mark.parametrize('delta', [-1, 256, 0.5])
def test_another_range_is_refused(delta):
    with pytest.raises(SeMmError, match=f'delta must be a whole number from 0 to 255, got {delta}'):
        TRANSFORMS.build(dict(type='se_mm.PixelJitter', delta=delta))
