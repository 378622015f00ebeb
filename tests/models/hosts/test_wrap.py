"""Attention in networks from outside configs, at modules that a user names."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torchvision
from mmengine.registry import MODELS
from support.helpers import randomize
from torch import nn

import se_mm
from se_mm import SeMmError, SETwin
from se_mm.analysis.gates.find import find_gates


class Own(nn.Module):
    """A network of the user's own, with two inputs and an activation that lets no factor through."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Hardswish(), nn.Conv2d(8, 8, 1, groups=2))
        self.head = nn.Linear(8, 2)

    def forward(self, x, shift):
        return self.head((self.body(x) + shift).mean((2, 3)))


def picture(size=64):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


OUTSIDE = {
    'shufflenet_v2': (torchvision.models.shufflenet_v2_x0_5, ['stage2.*', 'stage[34].*'], (picture(),), 16),
    'regnet_y_400mf': (torchvision.models.regnet_y_400mf, ['trunk_output.*.*'], (picture(),), 16),
    "a user's own": (Own, ['body.1', 'body.2'], (torch.rand(2, 4, 7, 5), torch.rand(2, 1, 1, 1)), 2),
}


@pytest.mark.parametrize('name', OUTSIDE)
def test_a_network_of_any_library_is_equal_at_the_start_and_learns(name):
    build, sites, inputs, number = OUTSIDE[name]
    network = randomize(build()).eval()
    plain = copy.deepcopy(network)
    assert se_mm.wrap(network, sites, 'ECALayer', example=inputs) is network
    assert not network.training
    with torch.no_grad():
        assert torch.equal(network(*inputs), plain(*inputs))
    assert [gate.name for gate in find_gates(network) if gate.site and not gate.site.native] == [
        site.name for site in network.attention_sites()
    ]
    assert len(list(network.attention_sites())) == number
    assert network.adapter.num_stages(network) == len(sites)
    network.train()(*inputs).square().sum().backward()
    moved = [p.grad.abs().sum() > 0 for key, p in network.named_parameters() if '.se.layer.' in key]
    assert len(moved) == number
    assert all(moved)


@pytest.mark.parametrize('name', OUTSIDE)
def test_it_is_copied_pickled_and_takes_plain_weights_and_its_own(name):
    build, sites, inputs, _ = OUTSIDE[name]
    plain = randomize(build(), seed=5).eval()
    network = se_mm.wrap(build().eval(), sites, dict(type='SELayer', reduction=2), example=inputs)
    network.load_state_dict(plain.state_dict())
    trained = randomize(copy.deepcopy(network), seed=6)
    again = pickle.loads(pickle.dumps(network))
    again.load_state_dict(trained.state_dict())
    with torch.no_grad():
        assert torch.equal(network(*inputs), plain(*inputs))
        assert torch.equal(again(*inputs), trained(*inputs))
        assert not torch.equal(again(*inputs), plain(*inputs))


@pytest.mark.parametrize(
    ('sites', 'message'),
    [
        (['stage5.*'], "no module is named 'stage5.\\*'; maps come from conv1"),
        (['conv1', 'fc'], r"fc, which 'fc' names, gives \(1, 1000\), no map"),
        ('conv1', 'must be a list of names'),
        (None, 'ShuffleNetV2 cannot be a host: se_mm knows no insertion sites in it; attention_sites'),
    ],
)
def test_a_pattern_without_a_map_is_refused_with_what_there_is_and_nothing_changes(sites, message):
    network = torchvision.models.shufflenet_v2_x0_5()
    with pytest.raises(SeMmError, match=message):
        se_mm.wrap(network, sites)
    assert type(network) is torchvision.models.ShuffleNetV2
    assert not any('.se' in key for key in network.state_dict())


def test_what_cannot_run_on_a_picture_needs_an_example():
    with pytest.raises(SeMmError, match='example'):
        se_mm.wrap(Own(), ['body.1'])
    with pytest.raises(SeMmError, match='attention already'):
        se_mm.wrap(SETwin('mmdet.Darknet'))


def test_a_config_names_the_modules_of_any_backbone():
    backbone = dict(type='se_mm.SETwin', host='mmpretrain.ShuffleNetV2', widen_factor=0.5, out_indices=(0, 1, 2))
    network = MODELS.build(backbone | dict(attention_sites=['layers.[012].*'], attention=dict(type='ECALayer')))
    network.init_weights()
    plain = MODELS.build(dict(type='mmpretrain.ShuffleNetV2', widen_factor=0.5, out_indices=(0, 1, 2)))
    plain.load_state_dict(network.state_dict(), strict=False)
    plain.eval(), network.eval()
    assert len(list(network.attention_sites())) == 16
    assert all(torch.equal(a, b) for a, b in zip(network(picture()), plain(picture()), strict=True))


def test_known_networks_need_no_patterns():
    network = MODELS.build(dict(type='mmdet.MobileNetV2', widen_factor=0.25))
    network.eval()
    plain = copy.deepcopy(network)
    se_mm.wrap(network, se_init='identity')
    assert network.layer1[0].se.fc1.in_channels == 8
    network.load_state_dict(plain.state_dict())
    plain.eval(), network.eval()
    assert all(torch.equal(a, b) for a, b in zip(network(picture()), plain(picture()), strict=True))


@pytest.mark.parametrize(
    ('host', 'message'),
    [
        (dict(host='mmpretrain.RepVGG', arch='A0'), 'three branches are summed'),
        (dict(host='mmpretrain.MobileOne', arch='s0'), 're-parametrised'),
        (dict(host='mmpretrain.VisionTransformer'), 'tokens, not maps'),
        (dict(host='mmdet.SwinTransformer'), 'tokens, not maps'),
        (dict(host='mmdet.PyramidVisionTransformer'), 'tokens, not maps'),
    ],
)
def test_what_attention_does_not_suit_is_refused_in_a_sentence(host, message):
    with pytest.raises(SeMmError, match=message):
        SETwin(**host)
