"""Frozen gates: their choice, and the network that has them in its weights."""

from __future__ import annotations

import pytest
import torch
from support.helpers import as_tuple, odd_inputs, randomize

from se_mm import SEResNet, SEResNeXt, SETwin
from se_mm.analysis.gates.find import find_gates
from se_mm.analysis.gates.pruning import (
    blocks_left,
    choose_frozen,
    foldable,
    folded_state,
    gates_named,
    largest_difference,
)
from se_mm.analysis.gates.removal import mean_gates, removal_groups, replaced, study_removal
from se_mm.errors import SeMmError

NARROW = dict(base_channels=16, stem_channels=16)
HOSTS = {
    'standard': lambda **more: SEResNet(18, **more),
    'bottlenecks': lambda **more: SEResNeXt(50, groups=32, base_width=4, **NARROW, **more),
    'pre': lambda **more: SEResNet(50, attention_position='pre', **NARROW, **more),
    'conv2': lambda **more: SEResNet(50, attention_position='conv2', **NARROW, **more),
    'a forward of its own': lambda **more: SETwin('mmdet.Res2Net', depth=50, scales=4, base_width=26, **NARROW, **more),
    'ECA': lambda **more: SEResNet(18, attention='ECALayer', **more),
}


class Bare(torch.nn.Module):
    """What the analysis needs of a model, around a backbone."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def data_preprocessor(self, batch, training):
        return dict(inputs=batch)

    def extract_feat(self, inputs):
        return as_tuple(self.backbone(inputs))


@pytest.mark.parametrize('name', HOSTS)
def test_a_mean_gate_folds_exactly_into_the_weights_beside_it(name):
    model = Bare(randomize(HOSTS[name]()).double()).eval()
    gates = find_gates(model)
    images = odd_inputs()
    means = mean_gates(model, images, gates)
    frozen = gates_named(gates, blocks=['layer1.1', 'layer3.0', 'layer4.0', 'layer4.1'])
    blocks = blocks_left(model.backbone, frozen)
    small = Bare(HOSTS[name](attention_blocks=blocks).double()).eval()
    small.load_state_dict(folded_state(model, frozen, means))
    with torch.no_grad(), replaced(frozen, means):
        before = model.extract_feat(images[0])
    with torch.no_grad():
        assert largest_difference(before, small.extract_feat(images[0])) < 1e-11
        assert largest_difference(model.extract_feat(images[0]), small.extract_feat(images[0])) > 1e-6
    left = {gate.name for gate in gates} - {gate.name for gate in frozen}
    assert {gate.name for gate in find_gates(small)} == left
    saved = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in small.parameters())
    assert saved == sum(gate.parameters for gate in frozen)


def test_the_mean_gate_is_that_of_all_pictures_not_of_batches():
    model = Bare(randomize(SEResNet(18)).double()).eval()
    images = odd_inputs()[0].repeat(2, 1, 1, 1) * torch.rand(4, 1, 1, 1, dtype=torch.float64)
    gates = find_gates(model)
    by_one, by_three = (mean_gates(model, images.split(n), gates) for n in (1, 3))
    for name, mean in by_one.items():
        torch.testing.assert_close(by_three[name], mean, rtol=0, atol=1e-7)
    with pytest.raises(SeMmError, match='calibration set is empty'):
        mean_gates(model, [], gates)


def test_the_last_stage_of_se_resnet_50_saves_what_the_paper_says():
    with torch.device('meta'):
        gates = find_gates(SEResNet(50))
    assert sum(gate.parameters for gate in gates_named(gates, stages=[3])) == 1_579_392
    groups = removal_groups(gates)
    assert len(groups) == 16 + 4 + 1
    assert [gate.name for gate in groups['stage 3']] == ['layer4.0', 'layer4.1', 'layer4.2']


class Costs:
    """A loss that is the sum of what each frozen gate costs, plus what two of them cost together."""

    def __init__(self, gates, costs, pair=()):
        self.gates, self.costs, self.pair = gates, costs, set(pair)
        self.x = {gate.name: torch.ones(1, gate.channels, 2, 2) for gate in gates}

    def __call__(self):
        frozen = {g.name for g in self.gates if (g.layer(self.x[g.name]) == 0.25).all()}
        return sum(self.costs[name] for name in frozen) + 0.01 * (len(self.pair) > 0 and self.pair <= frozen)


def test_gates_are_frozen_together_within_the_budget():
    gates = find_gates(SEResNet(18, attention_stages=(2, 3)))
    means = {gate.name: torch.full((gate.channels,), 0.25) for gate in gates}
    costs = {'layer3.0': 0.0004, 'layer3.1': -0.001, 'layer4.0': 0.0008, 'layer4.1': 0.003}
    frozen, steps = choose_frozen(gates, means, Costs(gates, costs), 0.001)
    assert [gate.name for gate in frozen] == ['layer3.0', 'layer3.1', 'layer4.0']
    assert [step.gate for step in steps] == ['layer3.1', 'layer3.0', 'layer4.0', 'layer4.1']
    assert steps[2].together == pytest.approx(0.0002)
    assert steps[3].together is None
    frozen, steps = choose_frozen(gates, means, Costs(gates, costs, pair=['layer3.0', 'layer3.1']), 0.001)
    assert [gate.name for gate in frozen] == ['layer3.1', 'layer4.0']  # layer3.0 is cheap alone, not with layer3.1
    assert steps[1].together == pytest.approx(0.0094)


def test_removal_measures_both_replacements_and_ends_them():
    backbone = SEResNet(18, attention_stages=(3,))
    gates = find_gates(backbone)
    means = {gate.name: torch.full((gate.channels,), 0.25) for gate in gates}

    def metric():
        return float(sum(gate.layer(torch.ones(1, 512, 2, 2)).mean() for gate in gates))

    as_it_is = metric()
    found = {entry.what: entry for entry in study_removal(gates, means, metric)}
    assert list(found) == ['layer4.0', 'layer4.1', 'stage 3', 'all']
    assert (found['all'].with_one, found['all'].with_mean) == (2.0, 0.5)
    assert found['all'].parameters == sum(gate.parameters for gate in gates)
    assert metric() == as_it_is


def test_gates_of_one_unit_are_left_out_together():
    host = SETwin('se_mm.ShakeResNetCIFAR', depth=26)
    gates = find_gates(host)
    assert [gate.name for gate in gates][:2] == ['layer1.0.branch1', 'layer1.0.branch2']
    with pytest.raises(SeMmError, match=r'the gates of a unit go together: name layer1.0.branch2 too'):
        blocks_left(host, gates[:1])
    assert blocks_left(host, gates[:2]) == [[1, 2, 3], None, None]
    means = {gate.name: torch.full((gate.channels,), 0.25) for gate in gates}
    costs = {gate.name: 0.0 if gate.name.startswith('layer1.0') else 1.0 for gate in gates}
    frozen, steps = choose_frozen(gates[:8], means, Costs(gates, costs), 0.1)
    assert frozen == gates[:2]
    assert steps[0].gate == 'layer1.0.branch1 + layer1.0.branch2'


def test_what_cannot_be_pruned_is_said_with_what_there_is():
    gates = find_gates(SEResNet(50, attention_position='post', attention_stages=(3,)))
    with pytest.raises(SeMmError, match='feeds the next shortcuts'):
        foldable(gates, some_may_stay=True)
    with pytest.raises(SeMmError, match=r'stages with gates are \[3\]'):
        gates_named(gates, stages=[1])
    with pytest.raises(SeMmError, match='those with gates are layer4.0'):
        gates_named(gates, blocks=['layer1.0'])


@pytest.mark.parametrize('maps', [(1.0, float('nan')), (float('nan'), 1.0)])
def test_a_map_that_is_not_finite_differs(maps):
    after = [torch.tensor([value]) for value in maps]
    assert not largest_difference([torch.ones(1), torch.ones(1)], after) <= 1.0
