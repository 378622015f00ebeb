"""The example of docs/gates.md: grad-cam's hooks on a network with SE."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from support.helpers import REPOSITORY, randomize

from se_mm.config.load import load_config


def test_grad_cam_works_as_the_docs_say(tmp_path, monkeypatch):
    (example,) = re.findall(r'```python\n(.*?)```', (REPOSITORY / 'docs/gates.md').read_text(), re.DOTALL)
    cfg = load_config(str(REPOSITORY / 'configs/demo/se_resnet18_scenes.py'))
    cfg.model.backbone.update(base_channels=16, stem_channels=16)
    cfg.model.head.in_channels = 128
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        network = randomize(registry.build(cfg.model), seed=2).eval()
    monkeypatch.chdir(tmp_path)
    cfg.dump('config.py')
    torch.save({'state_dict': network.state_dict(), 'meta': {}}, 'epoch_30.pth')
    cv2.imwrite('street.jpg', np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8))
    found: dict = {}
    exec(example, found)
    image, se = found['images'], network.backbone.layer4[-1].se
    assert found['maps'].shape == (1, *image.shape[2:])
    kept = []
    se.register_forward_hook(lambda _, __, output: kept.append(output))
    score = network(image, mode='tensor')[0, 1]
    (gradient,) = torch.autograd.grad(score, kept)
    coarse = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu()[0].detach().numpy()
    coarse = (coarse - coarse.min()) / (1e-7 + coarse.max() - coarse.min())  # as the library does before it resizes
    expected = cv2.resize(coarse, image.shape[:1:-1])
    np.testing.assert_allclose(found['maps'][0], expected / expected.max(), atol=1e-3)
    assert found['maps'].max() == pytest.approx(1, abs=1e-3)
