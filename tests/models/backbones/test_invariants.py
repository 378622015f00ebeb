"""What every backbone keeps, whatever its depth."""

from __future__ import annotations

import pytest
import torch
from support.helpers import randomize
from torch import nn

from se_mm import SEResNet, SEResNeXt, SETwin

BUILDERS = {
    'SE-ResNet-18': lambda **kw: SEResNet(18, **kw),
    'SE-ResNet-50': lambda **kw: SEResNet(50, **kw),
    'SE-ResNeXt-50': lambda **kw: SEResNeXt(50, groups=32, base_width=4, **kw),
}
every_model = pytest.mark.parametrize('name', BUILDERS)


def image(dtype=torch.float32, requires_grad=False):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, 3, 32 if dtype is torch.float64 else 64, 96, generator=generator)
        .to(dtype)
        .requires_grad_(requires_grad)
    )


@every_model
def test_shapes_are_finite_and_every_parameter_has_a_gradient(name):
    model = BUILDERS[name](norm_eval=False)
    features = model.train()(image())
    widths = [64, 128, 256, 512] if model.depth < 50 else [256, 512, 1024, 2048]
    assert [tuple(f.shape) for f in features] == [
        (2, c, 64 // s, 96 // s) for c, s in zip(widths, (4, 8, 16, 32), strict=True)
    ]
    assert all(f.isfinite().all() for f in features)
    sum(f.square().mean() for f in features).backward()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not without


@every_model
def test_out_indices_choose_the_stages(name):
    model = BUILDERS[name]().eval()
    with torch.no_grad():
        every = model(image())
        for out_indices in ((0,), (3,), (1, 2)):
            model.out_indices = out_indices
            assert all(torch.equal(a, every[i]) for a, i in zip(model(image()), out_indices, strict=True))


@every_model
def test_checkpointing_changes_neither_outputs_nor_gradients(name):
    plain = randomize(BUILDERS[name](norm_eval=False).double()).train()
    checkpointed = BUILDERS[name](with_cp=True, norm_eval=False).double().train()
    checkpointed.load_state_dict(plain.state_dict())
    outputs, gradients = [], []
    for model in (plain, checkpointed):
        features = model(image(torch.float64, requires_grad=True))
        outputs.append(features)
        sum(f.square().mean() for f in features).backward()
        gradients.append([p.grad for p in model.parameters()])
    for a, b in [*zip(*outputs, strict=True), *zip(*gradients, strict=True)]:
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@every_model
def test_frozen_stages_stay_frozen_through_train(name):
    for frozen_stages in (-1, 0, 1, 4):
        model = BUILDERS[name](frozen_stages=frozen_stages, norm_eval=False)
        model.eval().train()
        frozen = ['conv1', 'bn1'] * (frozen_stages >= 0) + [f'layer{i}' for i in range(1, frozen_stages + 1)]
        for key, parameter in model.named_parameters():
            assert parameter.requires_grad is (key.split('.')[0] not in frozen), key
        for key, module in model.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.training is (key.split('.')[0] not in frozen), key


@every_model
def test_norm_eval_holds_while_the_gates_learn(name):
    model = BUILDERS[name](norm_eval=True).eval().train()
    assert not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    statistics = {k: v.clone() for k, v in model.named_buffers()}
    sum(f.mean() for f in model(image())).backward()
    assert all(torch.equal(v, statistics[k]) for k, v in model.named_buffers())
    assert model.layer3[0].se.fc1.weight.grad.abs().sum() > 0


@every_model
def test_autocast_is_finite_and_close(name):
    model = randomize(BUILDERS[name]()).eval()
    exact = model(image())
    for recorded, dtype, bound in ((False, torch.float16, 0.02), (True, torch.bfloat16, 0.1)):
        with torch.set_grad_enabled(recorded), torch.autocast('cpu', dtype=dtype):
            half = model(image())
        for a, b in zip(half, exact, strict=True):
            assert a.isfinite().all()
            assert (a.float() - b).norm() / b.norm() < bound


@every_model
def test_channels_last_is_close_and_stays_channels_last(name):
    model = randomize(BUILDERS[name]()).eval()
    expected = model(image())
    model.to(memory_format=torch.channels_last)
    for recorded in (False, True):
        with torch.set_grad_enabled(recorded):
            features = model(image().contiguous(memory_format=torch.channels_last))
        for a, b in zip(features, expected, strict=True):
            assert a.is_contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


@every_model
def test_trace_and_export_give_the_same_output(name):
    model = randomize(BUILDERS[name]().double()).eval()
    x = image(torch.float64)
    with torch.no_grad():
        expected = model(x)
        for exported in (torch.jit.trace(model, x), torch.export.export(model, (x,)).module()):
            for a, b in zip(exported(x), expected, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_each_stage_has_its_reduction_and_only_the_chosen_ones_carry_se():
    model = SEResNet(50, reduction=(4, 8, 16, 32), se_stages=(1, 3))
    assert {site.name.split('.')[0] for site in model.attention_sites()} == {'layer2', 'layer4'}
    assert model.layer2[0].se.fc1.out_channels == 512 // 8
    assert model.layer4[2].se.fc1.out_channels == 2048 // 32
    by_bools = SEResNet(50, reduction=(4, 8, 16, 32), se_stages=(False, True, False, True))
    assert list(by_bools.state_dict()) == list(model.state_dict())


@pytest.mark.parametrize('host', ['mmdet.ResNet', 'mmpretrain.Res2Net', 'mmpretrain.ResNeSt'])
def test_zero_init_residual_zeroes_the_last_norm_of_each_unit(host):
    given = dict(zero_init_residual=True) if host == 'mmdet.ResNet' else {}
    model = SETwin(host, depth=50, **given)
    model.init_weights()
    assert not any(site.parent.bn3.weight.any() for site in model.attention_sites())


@pytest.mark.parametrize(
    ('gate', 'zero_init_residual', 'dead'),
    [('tanh', True, 8), ('relu', True, 8), ('sigmoid', True, 0), ('tanh', False, 0)],
)
def test_branches_that_cannot_learn_are_named_once(gate, zero_init_residual, dead, monkeypatch):
    said = []
    monkeypatch.setattr('se_mm.models.hosts.attention_host.print_log', lambda line, **_: said.append(line))
    model = SEResNet(18, attention=dict(type='SELayer', gate=gate), zero_init_residual=zero_init_residual)
    model.init_weights()
    model.train()(image())[-1].square().mean().backward()
    gradients = [site.parent.conv1.weight.grad for site in model.attention_sites()]
    last = [site.parent.norm2.weight.grad for site in model.attention_sites()]
    assert sum(not g.any() and not n.any() for g, n in zip(gradients, last, strict=True)) == dead
    assert len(said) == bool(dead)
    assert not dead or f"8 residual branches cannot learn: they start at zero, where gate='{gate}' is zero" in said[0]


def test_init_cfg_of_the_user_is_followed():
    model = SEResNet(18, init_cfg=[dict(type='Constant', val=0.25, layer='Conv2d')])
    model.init_weights()
    assert (model.layer1[0].conv1.weight == 0.25).all()
