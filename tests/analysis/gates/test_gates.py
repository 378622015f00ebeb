"""The gates of a model, against hooks of the test's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.models import ResNet
from sklearn.linear_model import LinearRegression
from support.classifiers import CLASSES, COUNT, batches, classifier
from torch import nn

from se_mm import SEResNet
from se_mm.analysis.gates.find import find_gates, has_gate
from se_mm.analysis.gates.record import channel_gate, record_gates
from se_mm.analysis.gates.statistics import class_selectivity, explained_share, gate_statistics, group_moments
from se_mm.errors import SeMmError
from se_mm.models.attention import LAYERS, Blend, ContextBlock, SELayer


def by_hooks(model: nn.Module) -> dict[str, np.ndarray]:
    """The gates as what leaves fc2, through a sigmoid written here."""
    found: dict[str, list] = {}
    handles = [
        module.register_forward_hook(
            lambda _, __, out, name=name: found.setdefault(name, []).append(1 / (1 + np.exp(-out.double().numpy())))
        )
        for name, module in model.named_modules()
        if name.endswith('se.fc2')
    ]
    with torch.no_grad():
        for batch in batches():
            model.test_step(batch)
    for handle in handles:
        handle.remove()
    return {name.removesuffix('.se.fc2'): np.concatenate(parts)[:, :, 0, 0] for name, parts in found.items()}


def recorded(model: nn.Module, folder: Path) -> dict[str, np.ndarray]:
    return record_gates(model, batches(), find_gates(model), COUNT, folder)


def test_gates_and_figures_equal_a_direct_computation_on_se_resnet_50(tmp_path):
    model = classifier()
    expected, found = by_hooks(model), recorded(model, tmp_path)
    assert list(found) == list(expected)
    assert len(found) == 16
    labels = np.array([0, 0, 1, 1, 2, 2])
    for name, s in expected.items():
        np.testing.assert_allclose(found[name], s, atol=1e-6)
        statistics = gate_statistics(found[name], np.eye(CLASSES, dtype=bool)[labels])
        of_class = [s[labels == label] for label in range(CLASSES)]
        within = sum(((part - part.mean(0)) ** 2).sum(0) for part in of_class)
        total = ((s - s.mean(0)) ** 2).sum(0)
        means = np.stack([part.mean(0) for part in of_class])
        ordered = np.sort(means, 0)
        rest = ordered[:-1].mean(0)
        direct = dict(
            mean=s.mean(),
            spread=np.sqrt(total / COUNT).mean(),
            open=(s > 0.9).mean(),
            closed=(s < 0.1).mean(),
            distance=np.abs(s - s.mean(0)).mean(),
            selectivity=((ordered[-1] - rest) / (ordered[-1] + rest)).mean(),
            class_means=means,
            class_spreads=np.stack([part.std(0) for part in of_class]),
            channel_means=s.mean(0),
        )
        for what, value in direct.items():
            np.testing.assert_allclose(getattr(statistics, what), value, atol=1e-6, err_msg=f'{name} {what}')
        # A ratio of variances of 1e-9 and less: float32 gates tell no more of it.
        assert statistics.class_share == pytest.approx((1 - within / total).mean(), abs=1e-3)
        assert statistics.histogram.sum() == s.size


@pytest.mark.parametrize('how', ['in place', 'wrapped', 'backbone wrapped', 'data parallel'])
def test_a_compiled_or_wrapped_model_gives_the_same_and_stays_so(how, tmp_path):
    model = classifier(18)
    expected = by_hooks(model)
    counted = []

    def backend(graph, _):
        counted.append(graph)
        return graph.forward

    if how == 'in place':
        model.backbone.compile(backend=backend)
    elif how == 'wrapped':
        model = torch.compile(model, backend=backend)
    elif how == 'backbone wrapped':
        model.backbone = torch.compile(model.backbone, backend=backend)
    else:
        model = nn.DataParallel(model)
    found = recorded(model, tmp_path)
    assert not counted  # no graph was made, which hooks would be missing from
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
    for name, s in expected.items():
        np.testing.assert_allclose(found[name], s, atol=1e-6)
    if how == 'backbone wrapped':
        with torch.no_grad():
            model.backbone(torch.rand(1, 3, 64, 64))
        assert counted  # it is compiled again


@pytest.mark.parametrize('name', LAYERS)
def test_the_gate_of_each_layer_is_what_the_map_is_multiplied_by(name):
    torch.manual_seed(0)
    layer = LAYERS[name](32).double().eval()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    u = torch.randn(2, 32, 9, 7, dtype=torch.float64)
    if not has_gate(layer):
        assert name == 'context'
        return
    for one in (layer, Blend(layer).double().eval()):
        if isinstance(one, Blend):
            nn.init.constant_(one.alpha, 0.4)
        with torch.no_grad():
            torch.testing.assert_close(u * one.gate(u), one(u), rtol=1e-9, atol=1e-12)
            ratio = (one(u) / u).mean((2, 3))
            torch.testing.assert_close(channel_gate(one, u).double(), ratio, rtol=1e-5, atol=1e-6)


def deployed(model: nn.Module) -> nn.Module:
    model.backbone.deploy()
    return model


@pytest.mark.parametrize(
    ('model', 'word'),
    [
        (lambda: ResNet(18), 'plain network'),
        (lambda: SEResNet(18, attention_blocks=([], [], [], [])), 'attention_blocks'),
        (lambda: SEResNet(18, attention='ContextBlock'), 'do not multiply'),
        (lambda: deployed(classifier(18)), 'deployed'),
    ],
)
def test_models_without_gates_are_refused_with_the_reason(model, word):
    with pytest.raises(SeMmError, match=word):
        find_gates(model())


def test_layers_without_a_gate_are_left_out_and_plugins_are_found():
    plugin = dict(cfg=dict(type='se_mm.SELayer'), position='after_conv2', stages=(False, False, False, True))
    plugins = find_gates(ResNet(50, plugins=[plugin]))
    assert [(gate.name, gate.channels, gate.site) for gate in plugins] == [
        (f'layer4.{block}.se', 512, None) for block in range(3)
    ]
    mixed = nn.ModuleList([SELayer(16), ContextBlock(16)])
    assert [gate.name for gate in find_gates(mixed)] == ['0']


def test_the_explained_share_is_that_of_a_linear_regression():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(40, 5))
    overlapping, partition = generator.random((40, 4)) < 0.4, np.eye(4, dtype=bool)[generator.integers(0, 4, 40)]
    for groups in (overlapping, partition):
        expected = [LinearRegression().fit(groups, column).score(groups, column) for column in values.T]
        np.testing.assert_allclose(explained_share(values, groups), expected, atol=1e-12)


def test_what_cannot_be_told_is_not_a_number():
    constant = np.full((4, 2), 0.3)
    assert np.isnan(explained_share(constant, np.eye(2, dtype=bool)[[0, 0, 1, 1]])).all()
    means, _ = group_moments(constant, np.zeros((4, 1), dtype=bool))
    assert np.isnan(means).all()
    assert np.isnan(class_selectivity(np.array([[-0.5], [0.5]]))).all()
    assert np.isnan(class_selectivity(np.array([[0.5]]))).all()
