"""Channels pruned by their gates, with Torch-Pruning."""

from __future__ import annotations

import sys

import pytest
import torch
from support.classifiers import batches, classifier

from se_mm.analysis.channel_pruning import SCORES, channel_activity, prune_channels, recalibrate_norms
from se_mm.analysis.gates import find_gates
from se_mm.errors import SeMmError

NARROW = dict(base_channels=16, stem_channels=16)


@pytest.fixture(scope='module')
def model():
    pytest.importorskip('torch_pruning')
    return classifier(18, out_indices=(3,), **NARROW)


@pytest.fixture(scope='module')
def activity(model):
    return channel_activity(model, batches(), find_gates(model))


def image(model):
    return model.data_preprocessor(batches()[0], False)['inputs'][:1]


def products(model) -> dict[str, torch.Tensor]:
    """E[s] E|u| of each unit, from what comes into and out of it."""
    found: dict[str, list] = {}

    def keep(name, layer, inputs, output):
        u = inputs[0].double()
        found.setdefault(name, []).append(
            (layer.excitation(u.mean((2, 3), keepdim=True).float())[..., 0, 0], u.abs().mean((2, 3)))
        )

    handles = [
        module.register_forward_hook(lambda *args, name=name: keep(name, *args))
        for name, module in model.named_modules()
        if name.endswith('.se')
    ]
    with torch.no_grad():
        for batch in batches():
            model.test_step(batch)
    for handle in handles:
        handle.remove()
    means = {name: [torch.cat(parts).mean(0) for parts in zip(*each, strict=True)] for name, each in found.items()}
    return {name.removesuffix('.se'): s * u for name, (s, u) in means.items()}


def test_the_channels_that_stay_are_those_with_the_largest_gate_times_activation(model, activity):
    small = prune_channels(model, image(model), find_gates(model), activity, 0.25, 'gate')
    expected = products(model)
    for stage, width in enumerate((16, 32, 64, 128), start=1):
        rank = expected[f'backbone.layer{stage}.0'] + expected[f'backbone.layer{stage}.1']
        kept = rank.argsort(descending=True)[: width * 3 // 4].sort().values
        for block in range(2):
            name = f'backbone.layer{stage}.{block}'
            unit, pruned = model.get_submodule(name), small.get_submodule(name)
            assert torch.equal(pruned.bn2.bias, unit.bn2.bias[kept])
            assert torch.equal(pruned.se.fc2.bias, unit.se.fc2.bias[kept])
            assert pruned.conv1.out_channels == unit.conv1.out_channels
    assert small.head.fc.in_features == 96
    with torch.no_grad():
        assert small.test_step(batches()[0])[0].pred_score.isfinite().all()
    assert not any(module._forward_hooks for module in small.modules())


def test_all_rankings_prune_as_much_and_leave_the_model_alone(model, activity):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    small = {s: prune_channels(model, image(model), find_gates(model), activity, 0.5, s) for s in SCORES}
    sizes = {score: sum(p.numel() for p in one.parameters()) for score, one in small.items()}
    assert len(set(sizes.values())) == 1
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())
    assert not torch.equal(small['gate'].backbone.layer4[1].bn2.bias, small['magnitude'].backbone.layer4[1].bn2.bias)


def test_norms_take_the_statistics_of_the_calibration_set():
    model = classifier(18, **NARROW)
    maps = []
    model.backbone.conv1.register_forward_hook(lambda _, __, out: maps.append(out))
    recalibrate_norms(model, batches())
    expected = torch.stack([each.mean((0, 2, 3)) for each in maps]).mean(0)
    torch.testing.assert_close(model.backbone.bn1.running_mean, expected, rtol=1e-5, atol=1e-6)
    assert not any(module.training for module in model.modules())
    assert model.backbone.bn1.momentum == 0.1


def test_what_cannot_be_pruned_is_one_message(model, activity, monkeypatch):
    post = classifier(18, attention_position='post', **NARROW)
    with pytest.raises(SeMmError, match='--channels ranks the maps that a norm writes'):
        prune_channels(post, image(post), find_gates(post), {}, 0.5, 'gate')
    with pytest.raises(SeMmError, match='--channels is 2; expected shares'):
        prune_channels(model, image(model), find_gates(model), activity, 2, 'gate')
    monkeypatch.setitem(sys.modules, 'torch_pruning', None)
    with pytest.raises(SeMmError, match=r"--channels needs Torch-Pruning; .*pip install '\.\[pruning\]'"):
        prune_channels(model, image(model), find_gates(model), activity, 0.5, 'gate')
