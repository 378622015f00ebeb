"""What each switch of ``tools/train.py`` does, and what it does to the gates."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from support.small import run, scene_config

from se_mm import SELayer, SeMmError
from se_mm.config.locate import locate
from se_mm.config.pretrained import start_random
from se_mm.engine import switches
from se_mm.engine.hooks.progress import highest_rate
from se_mm.weights.files import read_checkpoint


def config(scenes, folder, iterations=4, **given):
    cfg = scene_config(scenes, folder, iterations)
    switches.apply_training_switches(cfg, **given)
    return cfg


def gate_weights(runner) -> torch.Tensor:
    return torch.cat([m.fc1.weight.flatten() for m in runner.model.modules() if isinstance(m, SELayer)]).detach()


def test_an_average_holds_the_gates(scenes, tmp_path):
    """average <- (1 - m) average + m weights after each iteration, m = max(momentum, 100 / (100 + steps))."""
    cfg = config(scenes, tmp_path, 3, ema=0.25)
    cfg.custom_hooks.append(dict(type='Remember'))
    runner = run(cfg)
    saved = read_checkpoint(tmp_path / 'iter_3.pth')
    hooks = {type(hook).__name__: hook for hook in runner.hooks}
    seen, averaged = hooks['Remember'].seen, hooks['EMAHook'].ema_model.module
    momentum = [max(0.25, 100 / (100 + step)) for step in range(3)]
    expected = seen[0].double()
    for weights, m in zip(seen[1:], momentum[1:], strict=True):
        expected = (1 - m) * expected + m * weights.double()
    name = 'backbone.layer2.0.se.fc1.weight'
    assert torch.allclose(saved['state_dict'][name].double(), expected, atol=1e-6)
    assert torch.equal(saved['state_dict'][name], averaged.get_parameter(name))
    assert not torch.equal(saved['state_dict'][name], runner.model.get_parameter(name))


def test_accumulated_gradients_are_those_of_the_larger_batch(scenes, tmp_path):
    """Two batches of 2 with --accumulate 2 make the step of one batch of 4, where the norms do not see the batch."""
    steps = {}
    for name, (batch, accumulate, iterations) in {'large': (4, None, 1), 'accumulated': (2, 2, 2)}.items():
        cfg = config(scenes, tmp_path / name, iterations, accumulate=accumulate)
        cfg.model.backbone.norm_eval = True
        cfg.train_dataloader.batch_size = batch
        cfg.train_dataloader.sampler.shuffle = False
        cfg.train_dataloader.dataset.pipeline = cfg.val_dataloader.dataset.pipeline
        steps[name] = gate_weights(run(cfg))
    assert torch.allclose(steps['large'], steps['accumulated'], atol=1e-6)


@pytest.mark.parametrize(('accumulate', 'images'), [(None, 4), (2, 8)])
def test_the_learning_rate_scales_with_the_images_of_a_step(accumulate, images, scenes, tmp_path):
    cfg = config(scenes, tmp_path, 1, auto_scale_lr=True, accumulate=accumulate)
    cfg.auto_scale_lr.base_batch_size = 16
    runner = run(cfg)
    assert runner.optim_wrapper.get_lr()['lr'][0] == pytest.approx(0.04 * images / 16)
    assert cfg.auto_scale_lr.base_batch_size == 16  # as it is dumped: it may be trained again


def test_a_base_batch_size_that_is_missing(scenes, tmp_path):
    cfg = scene_config(scenes, tmp_path)
    for cfg.auto_scale_lr in (None, {}, dict(base_batch_size=0)):
        with pytest.raises(SeMmError, match='--auto-scale-lr needs'):
            switches.apply_training_switches(cfg, auto_scale_lr=True)


@pytest.mark.parametrize(
    ('given', 'rate'),
    [
        ({}, 0.01),
        (dict(auto_scale_lr=None), 0.0025),
        (dict(auto_scale_lr=None, lr=0.03), 0.03),
        (dict(auto_scale_lr=False), 0.01),
        (dict(auto_scale_lr=True, lr=0.04), 0.01),
    ],
)
def test_the_command_line_scales_the_rate_that_nobody_set(given, rate, scenes, tmp_path, monkeypatch):
    said, cfg = [], scene_config(scenes, tmp_path)
    monkeypatch.setattr(switches, 'say', said.append)
    cfg.train_dataloader.batch_size, cfg.auto_scale_lr.base_batch_size, cfg.optim_wrapper.optimizer.lr = 4, 16, 0.01
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', T_max=2, eta_min=0.001)]
    switches.apply_training_switches(cfg, **given)
    prepared = copy.deepcopy(cfg)
    switches.make_survivable(prepared)
    scaled = bool(cfg.auto_scale_lr.get('enable'))
    assert cfg.optim_wrapper.optimizer.lr * (0.25 if scaled else 1) == pytest.approx(rate)
    assert prepared.param_scheduler[0].eta_min == pytest.approx(0.00025 if scaled else 0.001)
    assert ('images a step' in ''.join(said)) == scaled


SCHEDULES = {
    'one step of warm-up': ([dict(type='LinearLR', start_factor=0.001, begin=0, end=1, by_epoch=False)], 1e-5),
    'warm-up': ([dict(type='LinearLR', start_factor=0.001, begin=0, end=5, by_epoch=False)], 0.01),
    'cut off': ([dict(type='LinearLR', start_factor=0.1, begin=0, end=9, by_epoch=False)], 0.008875),
    'cycle': (
        [dict(type='OneCycleLR', eta_max=0.05, total_steps=8, by_epoch=False)],
        0.0486,
    ),  # its peak lies between two steps
    'epochs': ([dict(type='MultiStepLR', milestones=[1], by_epoch=True)], 0.01),
}


@pytest.mark.parametrize('name', SCHEDULES)
def test_the_highest_rate_is_that_of_the_schedule(name):
    schedulers, highest = SCHEDULES[name]
    wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01))
    built = [PARAM_SCHEDULERS.build({**scheduler, 'optimizer': wrapper}) for scheduler in schedulers]
    runner = SimpleNamespace(
        optim_wrapper=wrapper, param_schedulers=built, train_dataloader=range(4), iter=0, max_iters=8
    )
    before = wrapper.get_lr()
    assert highest_rate(runner) == pytest.approx(highest, rel=1e-3)
    assert wrapper.get_lr() == before  # nothing has moved


@pytest.mark.parametrize(
    ('backbone', 'freed'),
    [
        (dict(type='mmdet.ResNet', depth=50, frozen_stages=1), {'frozen_stages': -1, 'norm_eval': False}),
        (dict(type='se_mm.SEResNet', depth=50), {'norm_eval': False}),
        (dict(type='se_mm.SETwin', host='mmdet.Res2Net', depth=50, frozen_stages=0), {'frozen_stages': -1}),
        (dict(type='mmpretrain.ResNet', depth=50), {}),
        (dict(type='mmdet.ResNet', depth=50, norm_eval=False, norm_cfg=dict(type='BN', requires_grad=False)),
         {'norm_cfg': dict(type='BN', requires_grad=True)}),
    ],
)  # fmt: skip
def test_random_weights_are_not_frozen(backbone, freed):
    init = dict(type='Pretrained', checkpoint='torchvision://resnet50')
    cfg = Config(dict(default_scope='mmdet', model=dict(type='RetinaNet', backbone=dict(backbone, init_cfg=init))))
    said = start_random(cfg)
    assert 'random weights in place of model.backbone.init_cfg' in said[0]
    assert {key: cfg.model.backbone[key] for key in freed} == freed
    assert all(key in said[1] for key in freed)
    assert start_random(cfg) == []


@pytest.mark.soak
def test_a_compiled_step_is_the_step(scenes, tmp_path):
    steps = {}
    for compiled in (False, True):
        cfg = config(scenes, tmp_path / str(compiled), 2, compile=compiled)
        cfg.train_dataloader.sampler.shuffle = False
        steps[compiled] = gate_weights(run(cfg))
    assert torch.allclose(steps[False], steps[True], atol=1e-5)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(accumulate=0), '--accumulate is 0'),
        (dict(seed=-1), 'the seed is -1; expected a whole number from 0 to 4294967295'),
        (dict(seed=5_000_000_000), 'the seed is 5000000000'),
        (dict(ema=1.5), '--ema is 1.5'),
        (dict(sync_bn=True), '--sync-bn needs several processes'),
        pytest.param(
            dict(amp=True), '--amp needs a GPU', marks=pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU')
        ),
    ],
)
def test_switches_that_cannot_be(scenes, tmp_path, given, message):
    with pytest.raises(SeMmError, match=message):
        config(scenes, tmp_path, **given)


def test_a_config_that_averages_is_not_averaged_twice():
    cfg = Config.fromfile(locate('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'))
    with pytest.raises(SeMmError, match='averages its weights already'):
        switches.apply_training_switches(cfg, ema=0.1)


def test_parts_of_other_projects_are_left_alone(scenes, tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(switches, 'warn', warnings.append)
    cfg = scene_config(scenes, tmp_path)
    cfg.train_cfg = dict(type='TheirLoop', max_iters=3)
    cfg.optim_wrapper.type = 'ApexOptimWrapper'
    cfg.default_hooks.checkpoint.type = 'TheirCheckpointHook'
    switches.make_survivable(cfg)
    assert (cfg.train_cfg.type, cfg.optim_wrapper.type) == ('TheirLoop', 'ApexOptimWrapper')
    assert cfg.default_hooks.checkpoint.type == 'TheirCheckpointHook'
    assert 'batch_sampler' not in cfg.train_dataloader
    assert 'TheirLoop' in ''.join(warnings)


def test_a_seed_leaves_the_rest_of_the_randomness(scenes, tmp_path):
    cfg = scene_config(scenes, tmp_path)
    cfg.randomness = dict(seed=42, diff_rank_seed=True)
    switches.apply_training_switches(cfg, deterministic=True)
    assert cfg.randomness == dict(seed=42, diff_rank_seed=True, deterministic=True)


def test_a_config_without_a_checkpoint_hook_saves_every_epoch_as_in_mmengine(scenes, tmp_path):
    for hooks in (dict(logger=dict(type='LoggerHook')), None):
        cfg = scene_config(scenes, tmp_path)
        cfg.default_hooks = hooks
        switches.make_survivable(cfg)
        assert cfg.default_hooks.checkpoint == dict(type='se_mm.CheckpointHook', interval=1)


def test_fast_forward_on_resume_is_ignored(scenes, tmp_path):
    cfg = config(scenes, tmp_path, 1)
    cfg.train_cfg.fast_forward_on_resume = True
    assert run(cfg).iter == 1
    assert 'fast_forward_on_resume is ignored' in next(tmp_path.glob('*/*.log')).read_text()


@pytest.mark.parametrize(('trained', 'refused'), [(('x', 'y', 'z'), True), (None, False)])
def test_a_training_goes_on_with_its_own_classes(trained, refused, scenes, tmp_path):
    classes = tuple(scene_config(scenes, tmp_path).train_dataloader.dataset.metainfo.classes)
    meta = dict(epoch=1, iter=2, seed=0, dataset_meta=dict(classes=trained or classes))
    file = tmp_path / 'a.pth'
    torch.save(dict(meta=meta, message_hub={}, optimizer={}, state_dict=dict(w=torch.ones(1))), file)
    if refused:
        with pytest.raises(SeMmError, match=r'a.pth was trained on the classes x, y, z, and the config has'):
            config(scenes, tmp_path, resume=str(file))
    else:
        assert config(scenes, tmp_path, resume=str(file)).load_from == str(file)
