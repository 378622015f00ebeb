"""Backbones that fold their frozen norms in a training step against the same without."""

from __future__ import annotations

import copy

import pytest
import torch
from mmdet.models import ResNet
from support.helpers import randomize
from torch import nn

from se_mm import SENet, SEResNet, SEResNeXt, SETwin
from se_mm.benchmarks.measuring import kept_bytes

NARROW = dict(base_channels=32, stem_channels=32)
NETWORKS = {
    'SE-ResNet-18': lambda **kw: SEResNet(18, **NARROW, **kw),
    'SE-ResNet-50': lambda **kw: SEResNet(50, **NARROW, **kw),
    'checkpointed': lambda **kw: SEResNet(50, **NARROW, with_cp=True, **kw),
    'caffe': lambda **kw: SEResNet(50, **NARROW, style='caffe', frozen_stages=1, **kw),
    'average downsampling': lambda **kw: SEResNet(50, **NARROW, avg_down=True, **kw),
    'two stages': lambda **kw: SEResNet(50, **NARROW, se_stages=(1, 2), **kw),
    'SE-ResNeXt-50': lambda **kw: SEResNeXt(50, **NARROW, groups=32, base_width=4, **kw),
    'mmpretrain': lambda **kw: SETwin('mmpretrain.ResNet', depth=50, **NARROW, norm_eval=True, **kw),
    'conv2': lambda **kw: SEResNet(50, **NARROW, attention_position='conv2', **kw),
    'drop path': lambda **kw: SETwin('mmpretrain.ResNet', depth=50, **NARROW, norm_eval=True, drop_path_rate=0.5, **kw),
    'SENet': lambda **kw: SENet(16, groups=32, stem_pool='caffe', norm_eval=True, **kw),
    'GN': lambda **kw: SEResNet(50, **NARROW, norm_cfg=dict(type='GN', num_groups=32), **kw),
    'SyncBN': lambda **kw: SEResNet(50, **NARROW, norm_cfg=dict(type='SyncBN'), **kw),
    'deformable convolutions': lambda **kw: SEResNet(
        50,
        **NARROW,
        dcn=dict(type='DCNv2', deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, False),
        **kw,
    ),
    'plugin': lambda **kw: SEResNet(
        50, plugins=[dict(cfg=dict(type='ContextBlock', ratio=1 / 16), position='after_conv3')], **kw
    ),
}


def network(name, fold, dtype=torch.float64):
    torch.manual_seed(0)
    model = randomize(NETWORKS[name](fold_norms=fold)).to(dtype)
    model.train()
    return model


def step(model, x):
    torch.manual_seed(1)  # of drop path
    x = x.clone().requires_grad_()
    features = model(x)
    features = features if isinstance(features, tuple) else (features,)
    sum(feature.square().mean() for feature in features).backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return features, {**grads, 'image': x.grad}


@pytest.mark.parametrize('name', NETWORKS)
def test_features_and_gradients_are_those_of_the_plain_form(name):
    x = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    (ours, our_grads), (theirs, their_grads) = (step(network(name, fold), x) for fold in (True, False))
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() <= 1e-12 * b.norm()
    assert our_grads.keys() == their_grads.keys()
    for key, expected in their_grads.items():
        # The bias before a softmax over the positions has no gradient but rounding.
        assert (our_grads[key] - expected).norm() <= 1e-10 * expected.norm() + 1e-15, key


def test_in_float32_features_differ_by_rounding_and_not_at_all_in_inference():
    torch.manual_seed(0)
    plain = randomize(ResNet(50))
    x = torch.randn(1, 3, 128, 160)
    folds, exact = (SEResNet(50, se_init='identity', fold_norms=fold) for fold in (True, False))
    for model in (folds, exact):
        model.load_state_dict(plain.state_dict())
    for model in (plain, folds, exact):
        model.train()
    truth = copy.deepcopy(plain).double()(x.double())
    for ours, without, theirs, right in zip(folds(x), exact(x), plain(x), truth, strict=True):
        assert torch.equal(without, theirs)
        assert (ours - theirs).norm() <= 2e-6 * theirs.norm()
        assert (ours - right).norm() <= 1.5 * (theirs - right).norm()
    with torch.no_grad():
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(folds(x), plain(x), strict=True))


def kept(model: nn.Module, x: torch.Tensor) -> int:
    model.train()
    return kept_bytes(lambda: model(x), model)


@pytest.mark.parametrize(('depth', 'bound'), [(50, 0.58), (34, 0.76)])
def test_with_frozen_norms_half_as_much_is_kept_for_the_backward(depth, bound):
    x = torch.rand(1, 3, 320, 480)
    ours, theirs = (kept(kind(depth, frozen_stages=1, norm_eval=True), x) for kind in (SEResNet, ResNet))
    assert ours <= bound * theirs


def test_with_norms_in_training_no_more_is_kept_than_by_the_plain_network():
    x = torch.rand(2, 3, 160, 160)
    ours, theirs = (kept(kind(50, norm_eval=False), x) for kind in (SEResNet, ResNet))
    assert ours <= 1.01 * theirs


@pytest.mark.parametrize('watched', ['conv1', 'bn3', 'relu', 'downsample', 'se.fc2'])
def test_what_is_watched_is_called_and_sees_what_it_would_see(watched):
    x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    seen = []
    for fold in (True, False):
        model = network('SE-ResNet-50', fold)
        model.layer2[0].get_submodule(watched).register_forward_hook(lambda m, args, out: seen.append(out))
        model(x)
    half = len(seen) // 2
    assert half > 0
    for ours, theirs in zip(seen[:half], seen[half:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_compiled_it_is_one_graph():
    model = network('SE-ResNet-50', True, torch.float32)
    x = torch.randn(1, 3, 64, 96)
    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            explained = torch._dynamo.explain(copy.deepcopy(model))(x)
        assert explained.graph_break_count == 0, explained.break_reasons
