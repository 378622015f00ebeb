"""As many parameters as the published classifiers (1,000 classes)."""

from __future__ import annotations

import pytest

from se_mm import SEResNet, SEResNeXt

RESNEXT = dict(groups=32, base_width=4)


@pytest.mark.parametrize(
    ('build', 'millions'),
    [
        (lambda: SEResNet(50), 28.09),
        (lambda: SEResNet(101), 49.33),
        (lambda: SEResNet(152), 66.82),
        (lambda: SEResNeXt(50, **RESNEXT), 27.56),
        (lambda: SEResNeXt(101, **RESNEXT), 48.96),
    ],
)
def test_parameters_are_as_many_as_published(build, millions):
    classifier = 2048 * 1000 + 1000
    count = sum(p.numel() for p in build().parameters()) + classifier
    assert round(count / 1e6, 2) == millions
