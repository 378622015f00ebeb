"""SE in VGG, the Inceptions, MobileNet and ShuffleNet against the plain graphs of other packages."""

from __future__ import annotations

import copy

import pytest
import torch
from support.helpers import randomize
from support.other_hosts import OTHER_HOSTS
from torch import nn

from se_mm import SeMmError, SETwin
from se_mm.analysis.gates.pruning import fold_mean

SLOW = ('Inception-ResNet-v2',)
every_host = pytest.mark.parametrize(
    'name', [pytest.param(name, marks=pytest.mark.soak) if name in SLOW else name for name in OTHER_HOSTS]
)
#: Where the plain network is a start: all but the one with ReLU6.
with_start = pytest.mark.parametrize('name', [name for name in OTHER_HOSTS if 'ReLU6' not in name])


def twin(name: str, **arguments) -> nn.Module:
    """With random weights: what its libraries begin with costs more than the tests."""
    with torch.device('meta'):
        network = SETwin(**{**copy.deepcopy(OTHER_HOSTS[name].arguments), **arguments})
    return randomize(network.double().to_empty(device='cpu')).eval()


def in_our_names(network: nn.Module, reference: nn.Module) -> dict[str, torch.Tensor]:
    """The reference's tensors under our names: both have them in the order in which they run."""
    ours = [(key, value) for key, value in network.state_dict().items() if '.se.' not in key]
    theirs = list(reference.state_dict().values())
    renamed = {key: value for (key, _), value in zip(ours, theirs, strict=False)}
    assert all(renamed[key].shape == value.shape for key, value in ours)
    assert len(theirs) - len(ours) <= 4  # a classifier is left
    return renamed


def assert_close(ours, theirs, bound: float = 1e-9) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert b.abs().max() > 1e-6
        assert (a - b).abs().max() <= bound * b.abs().max()


@every_host
@torch.no_grad()
def test_it_is_the_plain_graph_with_gates_at_the_papers_places(name):
    host, se = OTHER_HOSTS[name], twin(name)
    reference = host.reference()
    weights = in_our_names(se, reference)
    sites = list(se.attention_sites())
    gates = host.gated(reference, [site.channels for site in sites])
    for site, gate in zip(sites, gates, strict=True):
        weights |= {f'{site.name}.se.{key}': value for key, value in gate.state_dict().items()}
    se.load_state_dict(weights, by_name=True)
    assert_close(se(host.image()), host.maps(reference, host.image()))


@every_host
def test_it_has_the_parameters_of_the_published_networks(name):
    host = OTHER_HOSTS[name]
    arguments = {**host.arguments, **host.counted}
    arguments['out_indices'] = arguments['out_indices'][-1:]
    with torch.device('meta'):
        backbone = SETwin(**arguments)
    count = sum(p.numel() for p in backbone.parameters())
    assert count + (host.channels + 1) * 1000 * bool(host.channels) == host.parameters


@with_start
def test_with_plain_weights_it_is_the_plain_network_and_its_gates_learn(name):
    host, se = OTHER_HOSTS[name], twin(name)
    reference = host.reference()
    se.load_state_dict(in_our_names(se, reference))
    for training in (False, True):
        se.train(training), reference.train(training)
        ours = se(host.image())
        with torch.no_grad():
            theirs = host.maps(reference, host.image())
        assert_close(ours, theirs, 0 if name == 'ShuffleNet' else 1e-12)
    sum(feature.square().mean() for feature in ours).backward()
    assert all(site.parent.se.fc2.weight.grad.any() for site in se.attention_sites())


@pytest.mark.parametrize('name', ['VGG-16-BN', 'BN-Inception', 'Inception-v3', 'MobileNet', 'ShuffleNet', 'ReLU6'])
@torch.no_grad()
def test_constant_gates_of_each_channel_go_into_the_weights(name):
    """What makes gates prunable; the network with the gates is the reference."""
    stages = {'attention_stages': (0, 1, 2, 3), 'out_indices': (4,)} if name == 'ReLU6' else {}
    name = 'MobileNet with ReLU6' if name == 'ReLU6' else name
    image, se = OTHER_HOSTS[name].image(), twin(name, **stages)
    weights = {key: value for key, value in se.state_dict().items() if '.se.' not in key}
    for site in se.attention_sites():
        site.parent.se.fc2.weight.zero_()
        weights |= fold_mean(site, site.parent.se.fc2.bias.sigmoid(), weights)
    plain = twin(name, **{**stages, 'attention_stages': ()})
    plain.load_state_dict(weights)
    assert_close(plain(image), se(image), 1e-12)


@pytest.mark.parametrize('stages', [(0,), (1, 2, 3, 4)])
def test_relu6_lets_no_factor_through_where_the_map_leaves_the_backbone(stages):
    name = 'MobileNet with ReLU6'
    with pytest.raises(SeMmError, match=r'ReLU6 is not twice its output, and the map leaves .*gain'):
        twin(name, attention_stages=stages, se_init='identity')


def test_behind_relu6_the_next_depthwise_convolution_compensates_the_gate():
    name = 'MobileNet with ReLU6'
    host, reference = OTHER_HOSTS[name], OTHER_HOSTS[name].reference()
    se = twin(name, out_indices=(4,), attention_stages=(0, 1, 2, 3), se_init='identity')
    se.load_state_dict(in_our_names(se, reference))
    with torch.no_grad():
        assert_close(se(host.image()), host.maps(reference, host.image())[-1:], 0)


@pytest.mark.parametrize(
    ('name', 'kind'),
    [('BN-Inception', 'SimAM'), ('MobileNet with ReLU6', 'CBAM'), ('ShuffleNet', 'ECALayer')],
)
def test_other_layers_stand_at_the_same_sites_and_are_blended_in_anywhere(name, kind):
    host = OTHER_HOSTS[name]
    se, reference = twin(name, attention=dict(type=kind, start='blend')), host.reference()
    se.load_state_dict(in_our_names(se, reference))
    with torch.no_grad():
        theirs = host.maps(reference, host.image())
        assert_close(se(host.image()), theirs, 1e-12)
        assert len(list(se.attention_sites())) == len(host.sites(reference))
        for site in se.attention_sites():
            site.parent.se.alpha.fill_(0.5)
        assert not torch.allclose(se(host.image())[-1], theirs[-1])
