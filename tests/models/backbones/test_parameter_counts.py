"""As many parameters and multiply-adds as the paper and the published classifiers (1,000 classes, 224x224)."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from se_mm import SEResNet, SEResNeXt

RESNEXT = dict(groups=32, base_width=4)
#: Parameters of the authors' release, GFLOPs (multiply-adds) of the paper's table 2.
NETWORKS = {
    'SE-ResNet-50': (SEResNet, dict(depth=50, style='caffe'), 28_088_024, 3.87),
    'SE-ResNet-101': (SEResNet, dict(depth=101, style='caffe'), 49_326_872, 7.60),
    'SE-ResNet-152': (SEResNet, dict(depth=152, style='caffe'), 66_821_848, 11.32),
    'SE-ResNeXt-50': (SEResNeXt, dict(depth=50, **RESNEXT), 27_559_896, 4.25),
    'SE-ResNeXt-101': (SEResNeXt, dict(depth=101, **RESNEXT), 48_955_416, 8.00),
}


@pytest.mark.parametrize('name', NETWORKS)
def test_parameters_and_multiply_adds_are_the_papers(name):
    network, arguments, parameters, giga = NETWORKS[name]
    with torch.device('meta'):
        backbone = network(**arguments)
        image = torch.empty(1, 3, 224, 224)
    backbone.eval()
    classifier = 2048 * 1000
    assert sum(p.numel() for p in backbone.parameters()) + classifier + 1000 == parameters
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        backbone(image)
    assert counter.get_total_flops() / 2 + classifier == pytest.approx(giga * 1e9, rel=0.005)
