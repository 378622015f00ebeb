"""Steps that are not finite are left out, said why, and stop a training that makes no others."""

from __future__ import annotations

import math
import signal
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim.optimizer import amp_optimizer_wrapper
from support.commands import forget_mmengines_state
from support.small import run, scene_config
from torch import nn

from se_mm import SELayer, SeMmError
from se_mm.engine import runner as runtime
from se_mm.engine import switches
from se_mm.engine.hooks.nonfinite import NonFiniteHook
from se_mm.engine.optim_wrappers import AmpOptimWrapper, OptimWrapper, all_finite


def warnings_of(work_dir) -> str:
    return '\n'.join(
        line for file in work_dir.glob('*/*.log') for line in file.read_text().splitlines() if 'WARNING' in line
    )


@pytest.mark.parametrize(
    ('spoiled', 'options', 'message'),
    [
        pytest.param(
            dict(iterations=[3], module='backbone.layer2.0.conv1'),
            {},
            'iteration 3 is left out (1 in a row, 1 in all): the output of backbone.layer2.0.conv1 is not finite',
            marks=pytest.mark.fault(
                'a module makes NaN in one iteration', 'step left out; module and images named; norms put back'
            ),
        ),
        pytest.param(
            dict(iterations=[2], parameter='backbone.layer1.0.se.fc1.weight'),
            {},
            'with a finite loss the gradient of backbone.layer1.0.se.fc1.weight is not finite',
            marks=pytest.mark.fault('a gradient is NaN with a finite loss', 'step left out; the parameter is named'),
        ),
        pytest.param(
            dict(iterations=[3], module='backbone.layer1.0.conv1'),
            {'optim_wrapper.accumulative_counts': 2, 'train_dataloader.batch_size': 1},
            'iteration 4 is left out (1 in a row, 1 in all)',
            marks=pytest.mark.fault(
                'NaN in the first of two accumulated batches', "step left out; that batch's images are named"
            ),
        ),
    ],
)
def test_a_step_that_is_not_finite_is_left_out(spoiled, options, message, scenes, tmp_path):
    runner = run(scene_config(scenes, tmp_path, hooks=[dict(type='Spoil', **spoiled)], **options))
    said = warnings_of(tmp_path)
    assert message in said
    assert '1 of 8 iterations were left out' in said or options
    assert said.count(f'{scenes}/train/') == 2 if options else f'{scenes}/train/' in said
    assert all_finite([t for t in runner.model.state_dict().values() if t.is_floating_point()])


def test_norms_that_a_hook_has_replaced(scenes, tmp_path):
    """mmpretrain's PreciseBNHook rebinds running statistics: a step that is left out leaves those, too."""
    precise = dict(type='PreciseBNHook', num_samples=8, interval=2)
    expected = run(scene_config(scenes, tmp_path / 'a', 2, hooks=[precise]))
    spoil = dict(type='Spoil', iterations=[3], module='backbone.layer2.0.conv1')
    runner = run(scene_config(scenes, tmp_path / 'b', 3, hooks=[precise, spoil]))
    assert runner.train_dataloader.batch_size == 4
    assert 'iteration 3 is left out' in warnings_of(tmp_path / 'b')
    for name, value in expected.model.state_dict().items():
        assert torch.equal(runner.model.state_dict()[name], value), name


@pytest.mark.fault(
    "the weights of a gate become NaN (a damaged memory, a user's hook)", 'the gate is named, training stops'
)
def test_a_gate_that_makes_nan(scenes, tmp_path):
    cfg = scene_config(scenes, tmp_path, 30)
    forget_mmengines_state()
    runner = runtime.build_runner(cfg, switches.make_survivable)
    nn.init.constant_(runner.model.backbone.layer3[1].se.fc2.weight, math.nan)
    runner.model._is_init = True  # the runner would draw the weights anew
    runner.model.init_weights = lambda: None
    with pytest.raises(SeMmError, match=r'10 in a row.* the parameter backbone.layer3.1.se.fc2.weight is not'):
        runtime.train(runner)


@pytest.mark.fault('every iteration makes NaN', 'training stops after 10 in a row with that report, status 2')
def test_a_training_of_nothing_else_stops(scenes, tmp_path):
    hook = dict(type='Spoil', iterations=range(3, 99), module='backbone.layer1.0.conv1')
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(SeMmError, match=r'training stops: iteration 12 is left out .10 in a row, 10 in all.*conv1'):
        run(scene_config(scenes, tmp_path, 30, hooks=[hook]))
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


@pytest.mark.fault('gradients are infinite and clipped by value', 'step left out: clipping does not hide it')
def test_clipping_by_value_does_not_hide_infinity():
    parameter = nn.Parameter(torch.ones(2))
    wrapper = OptimWrapper(optimizer=torch.optim.SGD([parameter], lr=1.0), clip_grad=dict(type='value', clip_value=1.0))
    wrapper.update_params((parameter * torch.tensor([math.inf, 1.0])).sum())
    assert wrapper.skipped
    assert parameter.tolist() == [1.0, 1.0]
    wrapper.update_params(parameter.sum())
    assert not wrapper.skipped
    assert parameter.tolist() == [0.0, 0.0]


@pytest.mark.parametrize('clip', [None, dict(type='value', clip_value=1.0)])
def test_an_overflow_that_lowers_the_loss_scale_is_tolerated(clip, monkeypatch):
    """mmengine's wrapper wants an accelerator: torch's scaler for CPUs stands in for the one for GPUs."""
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, 'cpu'))
    parameter = nn.Parameter(torch.ones(1))
    wrapper = AmpOptimWrapper(
        optimizer=torch.optim.SGD([parameter], lr=1.0), loss_scale=dict(init_scale=2.0), clip_grad=clip
    )
    found = []
    for factor in (1.0, math.inf, math.inf, 1.0):
        wrapper.update_params((parameter * factor).sum())
        found.append((parameter.item(), wrapper.skipped, wrapper.tolerates))
    assert found == [(0.0, False, False), (0.0, True, True), (0.0, True, False), (-1.0, False, False)]


def test_an_overflow_that_is_tolerated_costs_no_second_forward():
    wrapper = OptimWrapper(optimizer=torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0))
    norm = nn.BatchNorm2d(2)
    runner = SimpleNamespace(optim_wrapper=wrapper, model=norm, logger=None, iter=0, seed=0)  # reports would fail
    hook = NonFiniteHook()
    hook.before_train(runner)
    for _ in range(2 * hook.limit):
        hook.before_train_iter(runner, 0)
        wrapper.skipped = wrapper.tolerates = True
        norm.running_mean.fill_(7.0)
        hook.after_train_iter(runner, 0, None, {'loss': torch.ones(1)})
        assert norm.running_mean.tolist() == [0.0, 0.0]
    assert hook.total == 0


@pytest.mark.parametrize('value', [1e-4, 1.0, 65504.0])
def test_a_gradient_that_is_large_or_small_is_finite(value):
    many = torch.full((1 << 16,), value, dtype=torch.float16)  # a sum of squares would overflow
    assert all_finite([many, torch.full((4,), 1e38)])


@pytest.mark.fault('float16 autocast with activations of 6e4', 'the squeeze is in float32: gates stay finite')
@pytest.mark.parametrize('training', [True, False])
def test_gates_stay_finite_in_half_precision(training):
    from se_mm import SEResNet

    layer = SELayer(64)
    u = torch.full((2, 64, 100, 100), 6e4, dtype=torch.float16, requires_grad=training)
    with torch.autocast('cpu', dtype=torch.float16):
        gate = layer.gate(u)
    reference = layer.double().gate(torch.full((2, 64, 1, 1), float(u[0, 0, 0, 0]), dtype=torch.float64))
    assert torch.allclose(gate.double(), reference, atol=2e-3)
    block = SEResNet(18, base_channels=16, stem_channels=16).train(training).layer1[0]
    assert SELayer.squeeze(block.se, torch.full((1, 16, 300, 300), 6e4, dtype=torch.float16)).isfinite().all()
