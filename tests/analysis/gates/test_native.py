"""Gates that a network has by itself: found, recorded, frozen, folded."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
import torchvision
from mmengine.registry import MODELS
from support.helpers import as_tuple, randomize
from torch import nn

from se_mm import SeMmError, SETwin
from se_mm.analysis.gates.find import find_gates, gate_on
from se_mm.analysis.gates.pruning import arguments_without, foldable, folded_state
from se_mm.analysis.gates.removal import replaced

#: The host, the attributes of its attention that give the gate, and how many there are.
NETWORKS = {
    'RTMDet': (dict(host='mmdet.CSPNeXt', deepen_factor=0.17, widen_factor=0.125), 'act', 4),
    'MobileNetV3': (dict(host='mmpretrain.MobileNetV3', arch='small_050', out_indices=(3, 12)), 'conv2', 9),
    'EfficientNet': (dict(host='mmdet.EfficientNet', arch='b0', out_indices=(2, 4)), 'conv2', 11),
}
every = pytest.mark.parametrize('name', NETWORKS)


def plain(name: str) -> nn.Module:
    arguments = dict(NETWORKS[name][0])
    with MODELS.switch_scope_and_registry(None) as registry:
        network = registry.get(arguments.pop('host'))(**arguments)
    randomize(network.double())
    network.eval()
    return network


def image() -> torch.Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()


def recorded(network: nn.Module, name: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Of each gate what the tools record, and what a hook on its last activation sees."""
    found: dict[str, list[torch.Tensor]] = {}
    handles = []
    for gate in find_gates(network):
        values = found[gate.name] = []
        last = getattr(gate.layer, NETWORKS[name][1])
        handles += [
            last.register_forward_hook(lambda _, __, out, values=values: values.append(out.clone())),
            gate.layer.register_forward_pre_hook(
                lambda layer, u, values=values: values.append(gate_on(layer, u[0]).clone())
            ),
        ]
    with torch.no_grad():
        network(image())
    for handle in handles:
        handle.remove()
    return {key: (values[1], values[2]) for key, values in found.items()}


@every
def test_what_is_recorded_is_what_a_hook_on_the_gate_sees(name):
    values = recorded(plain(name), name)
    assert len(values) == NETWORKS[name][2]
    for ours, seen in values.values():
        assert ours.shape[2:] == (1, 1)
        torch.testing.assert_close(ours, seen, rtol=0, atol=1e-12)


@every
def test_frozen_gates_are_folded_and_the_others_stay(name):
    network = plain(name)
    gates = find_gates(network)
    means = {key: value.mean((0, 2, 3)) for key, (value, _) in recorded(network, name).items()}
    frozen = foldable(gates)[::2]
    with replaced(frozen, means), torch.no_grad():
        expected = as_tuple(network(image()))
    arguments = {**NETWORKS[name][0], **arguments_without(network, frozen)}
    assert arguments.pop('type') == 'se_mm.SETwin'
    small = SETwin(**arguments).double()
    small.load_state_dict(folded_state(network, frozen, means))
    small.eval()
    with torch.no_grad():
        found = as_tuple(small(image()))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9 * float(theirs.abs().max()))
    assert {gate.name for gate in find_gates(small)} == {gate.name for gate in gates} - {gate.name for gate in frozen}
    assert 'native_blocks' in arguments_without(small, find_gates(small)[:1])


@pytest.mark.parametrize(
    ('network', 'count'),
    [
        (lambda: timm.create_model('mobilenetv3_small_050'), 9),
        (lambda: timm.create_model('regnety_002'), 13),
        (lambda: torchvision.models.mobilenet_v3_small(), 9),
        (lambda: MODELS.build(dict(type='mmpretrain.SEResNet', depth=50)), 16),
    ],
)
def test_gates_of_other_networks_are_found_and_are_at_no_site(network, count):
    gates = find_gates(network())
    assert len(gates) == count
    u = torch.randn(2, gates[0].channels, 3, 5)
    with torch.no_grad():
        torch.testing.assert_close(gate_on(gates[0].layer, u) * u, copy.deepcopy(gates[0].layer)(u))
    with pytest.raises(SeMmError, match='at no site'):
        foldable(gates)


def test_what_returns_no_product_of_its_input_is_refused():
    class SEModule(nn.Module):
        def forward(self, u):
            return u + u.sigmoid() * 2

    with pytest.raises(SeMmError, match='SEModule does not return the product'):
        gate_on(SEModule(), torch.randn(1, 2, 3, 3))
