"""The networks of CIFAR against pytorchcv's, with an independent gate at each site, and the paper's counts."""

from __future__ import annotations

import pytest
import torch
from pytorchcv.models.preresnet_cifar import preresnet20_cifar10, preresnet164bn_cifar10
from pytorchcv.models.resnext import ResNeXtBottleneck
from pytorchcv.models.shakeshakeresnet_cifar import ShakeShakeShortcut
from pytorchcv.models.wrn_cifar import get_wrn_cifar
from support.helpers import randomize
from timm.layers import SEModule
from torch import nn
from torch.nn import functional

from se_mm import SETwin
from se_mm.models import backbones
from se_mm.models.backbones.shake_resnet import ShiftedShortcut, shake

PREACT = {
    'PreResNet-20': ('PreActResNetCIFAR', dict(depth=20), preresnet20_cifar10),
    'PreResNet-164': ('PreActResNetCIFAR', dict(depth=164, bottleneck=True), preresnet164bn_cifar10),
    'WRN-16-8': ('WideResNetCIFAR', dict(depth=16), lambda: get_wrn_cifar(num_classes=10, blocks=16, width_factor=8)),
}
SMALL = {
    'PreResNet': ('PreActResNetCIFAR', dict(depth=20)),
    'PreResNet, bottlenecks': ('PreActResNetCIFAR', dict(depth=20, bottleneck=True)),
    'WRN': ('WideResNetCIFAR', dict(depth=10, widen_factor=2)),
    'Shake': ('ShakeResNetCIFAR', dict(depth=14, base_width=16)),
    'Shake, on the sum': ('ShakeResNetCIFAR', dict(depth=14, base_width=16, attention_position='sum')),
    'ShakeNeXt': ('ShakeResNeXtCIFAR', dict(depth=11, groups=2, base_width=4)),
}


def plain(name: str, **arguments: object) -> nn.Module:
    return getattr(backbones, name)(**{k: v for k, v in arguments.items() if k != 'attention_position'})


def copy_in_order(source: nn.Module, target: nn.Module) -> None:
    """Both register their parts in the order in which they run."""
    ours = {key: value for key, value in target.state_dict().items() if '.se.' not in key}
    theirs = list(source.state_dict().values())
    assert [value.shape for value in ours.values()] == [value.shape for value in theirs]
    target.load_state_dict(dict(zip(ours, theirs, strict=True)), strict=False)


@pytest.mark.parametrize('with_se', [False, True], ids=['plain', 'SE'])
@pytest.mark.parametrize('name', PREACT)
def test_preactivation_networks_are_those_of_pytorchcv(name, with_se):
    host, arguments, oracle = PREACT[name]
    reference = randomize(oracle().features.double()).eval()
    del reference.final_pool
    build = SETwin(f'se_mm.{host}', **arguments) if with_se else plain(host, **arguments)
    ours = randomize(build.double(), 1).eval()
    copy_in_order(reference, ours)
    if with_se:
        bodies = [unit.body for stage in (reference.stage1, reference.stage2, reference.stage3) for unit in stage]
        sites = list(ours.attention_sites())
        for body, site in zip(bodies, sites, strict=True):
            gate = SEModule(site.channels, rd_channels=max(1, site.channels // 16)).double()
            gate.load_state_dict(site.parent.se.state_dict())
            body.register_forward_hook(lambda _, __, out, gate=gate: (gate(out[0]), out[1]))
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        expected, [got] = reference(x), ours(x)
    assert (got - expected).abs().max() <= 1e-9 * expected.abs().max()


#: Parameters with the classifier (10 classes, 100 for the last), and what SE adds.
COUNTS = {
    'PreResNet-110': (('PreActResNetCIFAR', dict(depth=110)), 64, 1_730_522, 14_238, {}),
    'PreResNet-164': (PREACT['PreResNet-164'], 256, 1_703_258, 202_104, {}),
    'WRN-16-8': (PREACT['WRN-16-8'], 512, 10_961_370, 87_920, {}),
    'Shake-26': (('ShakeResNetCIFAR', {}), 384, 26_192_922, 199_248, {}),
    'Shake-26, on the sum': (('ShakeResNetCIFAR', {}), 384, 26_192_922, 99_624, {'attention_position': 'sum'}),
    'Shake-29': (('ShakeResNeXtCIFAR', {}), 1024, 34_529_700, 1_043_616, {}),
    'Shake-29, on the sum': (('ShakeResNeXtCIFAR', {}), 1024, 34_529_700, 521_808, {'attention_position': 'sum'}),
}


@pytest.mark.parametrize('name', COUNTS)
def test_parameters_are_those_of_the_papers(name):
    (host, arguments, *_), channels, parameters, added, se = COUNTS[name]
    classes = 100 if host == 'ShakeResNeXtCIFAR' else 10
    with torch.device('meta'):
        without, twin = plain(host, **arguments), SETwin(f'se_mm.{host}', **arguments, **se)
    count, with_se = (sum(p.numel() for p in network.parameters()) for network in (without, twin))
    assert count + (channels + 1) * classes == parameters
    assert with_se - count == added


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('name', SMALL)
def test_a_twin_starts_as_the_plain_network_bit_for_bit(name, training, tmp_path):
    host, arguments = SMALL[name]
    source = randomize(plain(host, **arguments))
    torch.save({'state_dict': {f'backbone.{k}': v for k, v in source.state_dict().items()}}, tmp_path / 'plain.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'plain.pth'))
    twin = SETwin(f'se_mm.{host}', **arguments, init_cfg=pretrained)
    twin.init_weights()
    x = torch.rand(4, 3, 32, 32)
    outputs = []
    for network in (source, twin):
        torch.manual_seed(0)
        network.train(training)
        outputs += network(x)
    assert torch.equal(*outputs)
    outputs[1].square().sum().backward()
    assert all(site.parent.se.fc2.bias.grad.abs().sum() > 0 for site in twin.attention_sites())


@pytest.mark.parametrize('name', ['PreResNet', 'Shake'])
def test_other_layers_and_stages(name):
    host, arguments = SMALL[name]
    twin = SETwin(f'se_mm.{host}', **arguments, attention=dict(type='se_mm.ECALayer'), attention_stages=(2,))
    assert {site.stage for site in twin.attention_sites()} == {2}
    assert all(type(site.parent.se).__name__ == 'ECALayer' for site in twin.attention_sites())
    [features] = twin(torch.rand(2, 3, 32, 32))
    assert features.shape[2:] == (8, 8)


def test_a_shake_is_uniform_for_each_picture_and_its_gradient_is_drawn_anew():
    torch.manual_seed(0)
    n = 20_000
    a = torch.ones(n, 2, 1, 1, dtype=torch.float64, requires_grad=True)
    b = torch.zeros(n, 2, 1, 1, dtype=torch.float64, requires_grad=True)
    g = torch.randn(n, 2, 1, 1, dtype=torch.float64)
    y = shake(a, b, training=True)
    y.backward(g)
    alpha, beta = y.detach()[:, 0, 0, 0], (a.grad / g)[:, 0, 0, 0]
    assert torch.equal(y[:, 0], y[:, 1])  # one coefficient a picture
    torch.testing.assert_close(a.grad + b.grad, g)
    for drawn in (alpha, beta):  # uniform: the errors of mean, variance and range are those of 20,000 draws
        assert abs(drawn.mean() - 1 / 2) < 5 * (1 / 12 / n) ** 0.5
        assert abs(drawn.var() - 1 / 12) < 5 * (1 / 180 / n) ** 0.5
        assert 0 <= drawn.min() < 1e-3
        assert 1 - 1e-3 < drawn.max() <= 1
    assert abs(torch.corrcoef(torch.stack([alpha, beta]))[0, 1]) < 5 / n**0.5


def test_shake_even_divides_the_gradient_evenly_and_inference_takes_the_mean():
    a, b = (torch.rand(8, 3, 2, 2, requires_grad=True) for _ in range(2))
    shake(a, b, training=True, backward='even').sum().backward()
    assert all(torch.equal(x.grad, torch.full_like(x, 0.5)) for x in (a, b))
    torch.testing.assert_close(shake(a, b, training=False), (a + b) / 2)


@pytest.mark.parametrize('stride', [1, 2])
def test_the_shortcut_of_shake_shake_is_pytorchcvs_behind_a_relu(stride):
    reference = randomize(ShakeShakeShortcut(8, 16, stride).double()).eval()
    ours = ShiftedShortcut(8, 16, stride, nn.BatchNorm2d).double().eval()
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(2, 8, 12, 12, dtype=torch.float64)
    assert (ours(x) - reference(functional.relu(x))).abs().max() <= 1e-12


def gated(se: nn.Module, u: torch.Tensor) -> torch.Tensor:
    gate = SEModule(u.shape[1], rd_channels=max(1, u.shape[1] // 16)).double()
    gate.load_state_dict(se.state_dict())
    return gate(u)


def of_weights(branch: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """ReLU, 3x3, norm, ReLU, 3x3, norm, from the weights alone."""
    for i in (1, 2):
        conv, norm = getattr(branch, f'conv{i}'), getattr(branch, f'bn{i}')
        x = functional.conv2d(functional.relu(x), conv.weight, padding=1)
        x = functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5)
    return x


@pytest.mark.parametrize('position', ['standard', 'sum'])
def test_a_shake_unit_scales_each_branch_or_their_mixture(position):
    twin = SETwin('se_mm.ShakeResNetCIFAR', depth=14, base_width=16, attention_position=position)
    unit = randomize(twin.double()).eval().layer2[1]  # its shortcut is the identity
    x = torch.randn(2, 32, 12, 12, dtype=torch.float64)
    u1, u2 = of_weights(unit.branch1, x), of_weights(unit.branch2, x)
    if position == 'standard':
        expected = x + 0.5 * (gated(unit.branch1.se, u1) + gated(unit.branch2.se, u2))
    else:
        expected = x + gated(unit.se, 0.5 * (u1 + u2))
    assert (unit(x) - expected).abs().max() <= 1e-9


@pytest.mark.parametrize('stage', [1, 2])
def test_a_unit_of_shake_even_has_two_bottlenecks_of_resnext(stage):
    twin = randomize(SETwin('se_mm.ShakeResNeXtCIFAR', depth=20, groups=4, base_width=8).double()).eval()
    unit = getattr(twin, f'layer{stage}')[0]
    channels, stride = (64, 1) if stage == 1 else (256, 2)
    x = torch.randn(2, channels, 8, 8, dtype=torch.float64)
    mixed = 0
    for branch in (unit.branch1, unit.branch2):
        reference = ResNeXtBottleneck(channels, 256 * stage, stride, 4, 8).double().eval()
        own = [value for key, value in branch.state_dict().items() if not key.startswith('se.')]
        reference.load_state_dict(dict(zip(reference.state_dict(), own, strict=True)))
        mixed = mixed + 0.5 * gated(branch.se, reference(x))
    conv, norm = unit.downsample
    expected = functional.relu(mixed + norm(functional.conv2d(x, conv.weight, stride=stride)))
    assert (unit(x) - expected).abs().max() <= 1e-9 * expected.abs().max()
