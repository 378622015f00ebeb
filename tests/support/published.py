"""Published classifiers with random weights, and pictures of odd shapes and modes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from torch import nn

from se_mm.weights import published
from support.helpers import randomize


@cache
def theirs(name: str) -> nn.Module:
    """timm's network of a name, random in every tensor."""
    return randomize(timm.create_model(name.removeprefix('timm://').partition('.')[0]), 7).eval()


@pytest.fixture
def random_weights(monkeypatch):
    """The state dicts of ``theirs`` in the place of what timm publishes, in this process and its forks."""
    monkeypatch.setattr(published, 'read', lambda name, *_: (dict(theirs(name).state_dict()), None))


def draw(path: Path, size: tuple[int, int], mode: str = 'RGB', seed: int = 0, **saved) -> Path:
    """A smooth picture with some noise, of width and height ``size``."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 4), np.uint8), 'RGBA').resize(size, Image.BICUBIC)
    noisy = np.asarray(coarse) // 2 + random.integers(0, 128, (size[1], size[0], 4), np.uint8)
    picture = Image.fromarray(noisy, 'RGBA')
    if mode == 'I;16':
        picture = Image.fromarray(np.asarray(picture)[..., 0].astype(np.uint16) * 200)
    elif mode != 'RGBA':
        picture = picture.convert('RGB').convert(mode) if mode not in ('LA', 'PA') else picture.convert(mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, **saved)
    return path
