"""The families that are known by their blocks: where attention stands, how it starts, what it learns, what it keeps."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from support.families import FAMILIES, inputs, outputs, plain, twin
from support.helpers import randomize
from timm.layers import SEModule

from se_mm import SETwin
from se_mm.models.attention import LAYERS

every = pytest.mark.parametrize('name', FAMILIES)
#: Arguments with which a layer takes maps of any width.
FITTING = {'fca': dict(components='low1', reduction=4), 'context': dict(ratio=1 / 4), 'gc': dict(reduction=2)}
BACKBONES = [name for name, family in FAMILIES.items() if len(family.channels) == 1]


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def started(name: str, **arguments) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A twin that was given the weights of a plain host, in evaluation, and the plain host."""
    host, network = plain(name), twin(name, se_init='identity', fold_norms=False, **arguments)
    network.load_state_dict(host.state_dict())
    return network.eval(), host


def step(network: torch.nn.Module, name: str) -> list[str]:
    """The parameters of attention that do not move in three steps, as what stands behind a zero does."""
    network.train()
    before = {key: value.clone() for key, value in network.named_parameters() if '.se.' in key}
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        sum(feature.square().mean() for feature in outputs(network, inputs(name))).backward()
        optimizer.step()
    after = dict(network.named_parameters())
    assert all(value.isfinite().all() for value in after.values())
    return [key for key, value in before.items() if torch.equal(value, after[key])]


@every
def test_attention_stands_at_the_sites_of_the_architecture_and_starts_as_the_plain_network(name):
    network, host = started(name)
    family = FAMILIES[name]
    assert Counter(site.channels for site in network.attention_sites()) == family.widths
    hidden = {'rd_ratio': 1 / 16, 'rd_divisor': 8} if family.divisor == 8 else None
    expected = sum(
        n * count(SEModule(c, **hidden or {'rd_channels': max(1, c // 16)})) for c, n in family.widths.items()
    )
    assert count(network) - count(host) == expected
    assert all(
        torch.equal(a, b) for a, b in zip(outputs(network, inputs(name)), outputs(host, inputs(name)), strict=True)
    )


@every
def test_its_gates_move_and_its_weights_read_back(name):
    torch.manual_seed(3)
    network, _ = started(name, reduction=2)
    still = step(network, name)
    assert not [key for key in still if '.fc2.' in key]
    other = twin(name, reduction=2)
    other.load_state_dict(network.state_dict())
    other.eval(), network.eval()
    found, expected = outputs(other, inputs(name)), outputs(network, inputs(name))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('name', BACKBONES)
def test_a_deployed_backbone_gives_the_same_maps(name):
    network = randomize(twin(name)).eval()
    with torch.no_grad():
        expected = outputs(network, inputs(name))
        found = outputs(network.deploy(), inputs(name))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9 * float(theirs.abs().max()))


@pytest.mark.parametrize(
    ('name', 'frozen', 'stages'),
    [
        ('CSPDarknet', 2, {0, 1}),
        ('CSPNeXt', 1, {0}),
        ('MobileNetV2', 3, {0, 1, 2}),
        ('ConvNeXt', 2, {0, 1}),
        ('EfficientNet-ES', 2, {0}),
    ],
)
def test_attention_is_frozen_with_its_stage(name, frozen, stages):
    network = twin(name, frozen_stages=frozen).train()
    found = {s.stage for s in network.attention_sites() if not any(p.requires_grad for p in s.parent.se.parameters())}
    assert found == stages


@pytest.mark.parametrize('name', ['HRNet', 'MobileNetV2', 'EfficientNet-ES', 'ConvNeXt', 'MobileNetV3'])
def test_checkpointing_changes_nothing(name):
    gradients = []
    reference = randomize(twin(name)).state_dict()
    for with_cp in (False, True):
        network = twin(name, with_cp=with_cp)
        network.load_state_dict(reference)
        network.train()
        sum(feature.square().mean() for feature in outputs(network, inputs(name).requires_grad_())).backward()
        gradients.append([p.grad for p in network.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


def check_layer(layer: str, name: str) -> None:
    """Forward, the exact start, or the one that it says, and steps in which the layer learns."""
    torch.manual_seed(3)
    start = {'start': 'blend'} if layer in ('ge', 'simam') else {}
    attention = dict(type=LAYERS[layer].__name__, **start, **FITTING.get(layer, {}))
    network, host = started(name, attention=attention)
    for ours, theirs in zip(outputs(network, inputs(name)), outputs(host, inputs(name)), strict=True):
        assert torch.equal(ours, theirs)
    named = [key for key, _ in network.named_parameters() if '.se.' in key]
    assert len(step(network, name)) < len(named) / 2


TEN = [
    'CSPDarknet',
    'CSPNeXt',
    'HRNet',
    'Darknet',
    'MobileNetV2',
    'EfficientNet-ES',
    'ConvNeXt',
    'Hourglass',
    'FPN',
    'DenseNet',
]


@pytest.mark.parametrize(('layer', 'name'), list(zip(LAYERS, TEN, strict=True)))
def test_each_layer_in_a_family(layer, name):
    check_layer(layer, name)


@pytest.mark.soak
@pytest.mark.parametrize('name', TEN)
@pytest.mark.parametrize('layer', LAYERS)
def test_every_layer_in_every_family(layer, name):
    check_layer(layer, name)


def test_attention_of_the_hosts_own_stays_or_is_replaced():
    arguments = dict(host='mmdet.CSPNeXt', deepen_factor=0.17, widen_factor=0.125)
    kept = SETwin(**arguments)
    assert not list(kept.attention_sites())
    assert kept.stage1[1].attention.fc.in_channels == 16
    mixed = SETwin(**arguments, attention='ECALayer', native_blocks=[None, (), None, ()])
    assert [site.name for site in mixed.attention_sites()] == ['stage2.1', 'stage4.2']
    assert [key for key in mixed.state_dict() if '.se.' in key or '.attention.' in key] == [
        'stage1.1.attention.fc.weight', 'stage1.1.attention.fc.bias', 'stage2.1.se.conv.weight',
        'stage3.1.attention.fc.weight', 'stage3.1.attention.fc.bias', 'stage4.2.se.conv.weight',
    ]  # fmt: skip
    mixed.load_state_dict(kept.state_dict())  # without what has no place
    assert torch.equal(mixed.stage1[1].attention.fc.weight, kept.stage1[1].attention.fc.weight)
    assert [feature.shape[1] for feature in mixed.eval()(torch.rand(1, 3, 64, 64))] == [32, 64, 128]


def test_the_last_stage_of_a_c4_detector_takes_its_weights_from_a_whole_network():
    from mmdet.models import ResNet

    plain = randomize(ResNet(50, style='caffe').double())
    head = SETwin('mmdet.ResLayer', depth=50, style='caffe', se_init='identity', fold_norms=False).double().eval()
    head.load_state_dict(plain.state_dict())
    x = torch.randn(2, 1024, 4, 4).double()
    assert torch.equal(head(x), plain.layer4.eval()(x))
