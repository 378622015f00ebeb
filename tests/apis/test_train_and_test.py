"""Training and evaluation as a user of Python calls them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import forget_mmengines_state
from support.small import draw_scenes, scene_config

from se_mm.apis.test import test as evaluate
from se_mm.apis.train import train


def test_a_training_is_resumed_and_evaluated(tmp_path):
    root = draw_scenes(tmp_path / 'scenes', train=4, val=2)
    for iterations in (2, 4):
        forget_mmengines_state()
        options = {'default_hooks.checkpoint.interval': 2}
        cfg = scene_config(root, tmp_path / 'out', iterations, **options)
        runner = train(cfg, seed=0, resume='auto')
        assert runner.iter == iterations
    assert (tmp_path / 'out/iter_4.pth').is_file()
    forget_mmengines_state()
    metrics = evaluate(scene_config(root, tmp_path / 'test'), str(tmp_path / 'out/iter_4.pth'))
    assert 0 <= metrics['accuracy/top1'] <= 100


def test_a_switch_that_there_is_not():
    with pytest.raises(TypeError, match='epochs'):
        train(scene_config(Path('data'), Path('out')), epochs=3)
