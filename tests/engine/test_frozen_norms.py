"""FrozenNormsHook: the statistics of norms stop in the last epochs, and the weights do not."""

from __future__ import annotations

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from support.small import run, scene_config

from se_mm import SeMmError


class Recorder(Hook):
    def __init__(self) -> None:
        self.statistics, self.scales = [], []

    def after_train_epoch(self, runner) -> None:
        norm = runner.model.backbone.layer2[0].bn1
        self.statistics.append((norm.running_mean.clone(), norm.running_var.clone(), norm.num_batches_tracked.item()))
        self.scales.append(norm.weight.detach().clone())


def config(scenes, tmp_path, hooks, **train_cfg):
    cfg = scene_config(scenes, tmp_path, hooks=hooks)
    if train_cfg:
        cfg.train_cfg = train_cfg
        cfg.train_dataloader.sampler.type = 'DefaultSampler'
    return cfg


def test_statistics_stop_in_the_last_epochs_and_scales_learn_on(scenes, tmp_path):
    recorder = Recorder()
    cfg = config(scenes, tmp_path, [dict(type='se_mm.FrozenNormsHook', num_last_epochs=2)], by_epoch=True, max_epochs=4)
    HOOKS.register_module(name='Recorder', module=lambda: recorder, force=True)
    cfg.custom_hooks.append(dict(type='Recorder'))
    run(cfg)
    means, variances, counts = zip(*recorder.statistics, strict=True)
    assert not means[0].equal(means[1])
    assert counts[0] < counts[1]
    for epoch in (2, 3):
        assert means[epoch].equal(means[1])
        assert variances[epoch].equal(variances[1])
        assert counts[epoch] == counts[1]
        assert not recorder.scales[epoch].equal(recorder.scales[epoch - 1])


def test_it_refuses_what_has_no_last_epoch(scenes, tmp_path):
    with pytest.raises(SeMmError, match='counts epochs, and this training iterations'):
        run(config(scenes, tmp_path, [dict(type='se_mm.FrozenNormsHook', num_last_epochs=1)]))
    with pytest.raises(SeMmError, match='num_last_epochs must be 1 or more, got 0'):
        HOOKS.build(dict(type='se_mm.FrozenNormsHook', num_last_epochs=0))
