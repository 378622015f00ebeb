"""The benchmark measures what it says, of everybody in turn."""

from __future__ import annotations

import pytest
import torch
from support.commands import output, tool
from torch import nn

from se_mm import SeMmError
from se_mm.benchmarks import networks
from se_mm.benchmarks.compared_networks import PLAIN, attentions, backbones
from se_mm.benchmarks.measuring import interleaved, kept_bytes
from se_mm.models.attention import LAYERS
from se_mm.utils.memory import peak_resident_bytes

QUICK_MODES = ('detector-training',)


@pytest.mark.parametrize(
    'mode', [mode if mode in QUICK_MODES else pytest.param(mode, marks=pytest.mark.soak) for mode in networks.MODES]
)
def test_every_candidate_is_measured_in_every_form(mode):
    setting = networks.Setting(mode, 18, (1, 64, 64))
    measured = networks.measure(setting, rounds=2)
    assert {entry.form for entry in measured} == ({'default'} if setting.training else {'default', 'deployed'})
    assert any('mmdet.ResNet' in entry.name for entry in measured)
    assert all(len(entry.seconds) == 2 and entry.median > 0 for entry in measured)
    assert all((entry.kept > 0) == setting.training for entry in measured)
    lines = networks.table(measured)
    assert len(lines) == 2 + len(measured)
    mmdets = next(line for line in lines[2:] if 'mmdet.ResNet | default' in line)
    assert mmdets.split(' | ')[5] == '1.000'  # itself over itself


def test_resnexts_are_compared_with_resnexts_of_the_same_size():
    plain = {}
    for candidate in backbones(50, frozen=False, resnext=True):
        network = candidate.build()
        if not candidate.plain:
            plain[candidate.name] = sum(p.numel() for p in network.parameters())
    assert set(plain.values()) == {22_979_904}  # torchvision's resnext50_32x4d without its 2,049,000 of fc
    assert {'mmdet.ResNeXt', 'mmpretrain.ResNeXt', 'timm resnext'} <= set(plain)
    with pytest.raises(SeMmError, match='--resnext --depth 18: ResNeXt has bottlenecks'):
        backbones(18, frozen=False, resnext=True)


def test_each_attention_layer_is_beside_the_plain_network():
    candidates = networks.Setting('training', depth=18, attention=('all',)).candidates()
    assert [candidate.name for candidate in candidates] == [PLAIN, *LAYERS]
    assert all(candidate.plain == PLAIN for candidate in candidates[1:])
    for candidate in candidates:
        assert any(hasattr(module, 'se') for module in candidate.build().modules()) == bool(candidate.plain)
    with pytest.raises(SeMmError, match='there is no attention layer'):
        attentions(18, ['sea'], frozen=False)


def test_ratios_are_to_the_plain_twin_in_the_same_form():
    def entry(name: str, form: str, plain: str, *seconds: float) -> networks.Measured:
        return networks.Measured(name, form, plain, list(seconds))

    lines = networks.table(
        [
            entry('se', 'default', 'twin', 3.0, 6.0, 9.0),
            entry('twin', 'default', '', 3.0, 4.0, 9.0),
            entry('se', 'deployed', 'twin', 1.0, 2.0, 2.0),
            entry('twin', 'deployed', '', 2.0, 4.0, 4.0),
            entry('mmdet.ResNet', 'default', '', 1.5, 2.0, 9.0),
        ]
    )
    assert lines[2].split(' | ')[3:] == ['6000.0', '1.500', '3.000', '3000.0', '1.000', '2.000 |']
    assert lines[4].split(' | ')[3:] == ['2000.0', '0.500', '1.000', '1000.0', '0.500', '0.667 |']


def test_frozen_backbones_train_as_in_mmdet():
    """timm's has no ``frozen_stages``; of all, the same parameters have gradients and no statistics move."""
    trained = set()
    for candidate in backbones(18, frozen=True):
        if candidate.plain:
            continue
        network = candidate.build()
        network.train()
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        assert not any(norm.training for norm in norms), candidate.name
        trained.add(sum(p.numel() for p in network.parameters() if p.requires_grad))
    assert len(trained) == 1


def test_calls_are_measured_in_turn():
    order = []
    seconds = interleaved({name: lambda name=name: order.append(name) for name in 'ab'}, rounds=2, warmup=1)
    assert ''.join(order) == 'ababab'
    assert [len(each) for each in seconds.values()] == [2, 2]


def test_kept_bytes_are_the_maps_that_autograd_saves_and_not_the_weights():
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8).eval(), nn.ReLU(inplace=True))
    x = torch.randn(2, 3, 16, 16)
    maps = 4 * 2 * 16 * 16 * (3 + 8 + 8)  # the input; what the norm takes; the output, which ReLU wrote over its input
    assert maps <= kept_bytes(lambda: layers(x), layers) < maps + 1000  # the norm's empty buffers
    layers[0].requires_grad_(False), layers[1].requires_grad_(False)
    assert kept_bytes(lambda: layers(x), layers) == 0


@pytest.mark.soak
def test_a_step_in_a_fresh_process_has_a_peak_of_resident_memory():
    held = torch.ones(2**28)  # 1 GiB in the parent, which is not the child's
    (measured,) = networks.measure(networks.Setting('training', 18, (1, 64, 64)), 1, 'mmdet', resident=True)
    assert 0 < measured.resident < held.nbytes < peak_resident_bytes()
    assert 'RSS MiB' in networks.table([measured])[0]


def test_a_gpu_or_a_network_that_is_not_there_is_said():
    with pytest.raises(SeMmError, match='--only nobody: no candidate'):
        networks.measure(networks.Setting('inference', 18, (1, 64, 64)), 1, 'nobody')
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(SeMmError, match='--device cuda: torch finds no GPU'):
        networks.measure(networks.Setting('inference', 18, (1, 64, 64), device='cuda'), 1)


QUICK = ('--mode', 'training', '--depth', 18, '--size', 1, 32, 32, '--only', 'mmdet.ResNet', '--rounds', 1)


def test_the_tool_prints_the_table():
    said = output(tool('benchmark', *QUICK))
    assert '| mmdet.ResNet | default |' in said
    assert '; 1 interleaved rounds' in said


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        ((*QUICK, '--rounds', 0), '--rounds is 0'),
        (('--size', 1, 0, 32), '--size is 1 0 32'),
        (('--mode', 'detector-inference', '--attention', 'se'), '--attention is for --mode inference and training'),
    ],
)
def test_mistakes_are_said_before_anything_is_measured(args, message):
    done = tool('benchmark', *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
