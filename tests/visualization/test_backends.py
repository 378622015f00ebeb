"""Backends of the visualizer that ``--log`` adds to a config."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from mmengine.visualization import TensorboardVisBackend

from se_mm.visualization import backends


@pytest.mark.parametrize('kind', ['TensorboardVisBackend', 'mmengine.TensorboardVisBackend', TensorboardVisBackend])
def test_a_backend_that_is_there_is_not_added_again(kind, monkeypatch):
    monkeypatch.setattr(backends, 'find_spec', lambda name: name)
    cfg = Config(dict(visualizer=dict(type='Visualizer', vis_backends=[dict(type=kind)])))
    backends.add_log_backends(cfg, ['tensorboard', 'wandb'])
    assert [backend.type for backend in cfg.visualizer.vis_backends] == [kind, 'WandbVisBackend']
