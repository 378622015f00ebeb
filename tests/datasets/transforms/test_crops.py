"""The ten crops against torchvision's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS
from torchvision.transforms.functional import ten_crop

from se_mm import SeMmError
from se_mm.datasets.transforms.crops import CORNERS, CornerCrop


@pytest.mark.parametrize(('height', 'width'), [(256, 256), (31, 40)])
def test_they_are_torchvisions(height, width):
    size = 24
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    centre = TRANSFORMS.build(dict(type='mmpretrain.CenterCrop', crop_size=size))
    crops = [CornerCrop(size, corner) for corner in CORNERS] + [centre]
    ours = [crop({'img': picture})['img'] for crop in crops]
    ours += [crop({'img': picture[:, ::-1]})['img'] for crop in crops]
    theirs = ten_crop(torch.from_numpy(picture.transpose(2, 0, 1).copy()), size)
    # An odd margin is rounded down by one library and to even by the other: the centre may stand one pixel apart.
    pairs = list(zip(ours, theirs, strict=True))
    corners = pairs[:4] + pairs[5:9] if (height - size) % 2 or (width - size) % 2 else pairs
    for ours_one, theirs_one in corners:
        assert np.array_equal(ours_one, theirs_one.permute(1, 2, 0).numpy())


def test_what_does_not_fit_is_refused():
    with pytest.raises(SeMmError, match='corner must be one of'):
        CornerCrop(24, 'centre')
    with pytest.raises(SeMmError, match='20 x 30 has no corner of 24 x 24'):
        CornerCrop(24, 'top_left')({'img': np.zeros((20, 30, 3), np.uint8)})
