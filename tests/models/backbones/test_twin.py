"""SE in hosts whose blocks have forwards of their own: equal to the plain network, and never lost on the way."""

from __future__ import annotations

import copy

import pytest
import torch
from mmdet.models.backbones.resnet import BasicBlock, ResNet
from mmengine.registry import MODELS
from support.helpers import as_tuple, randomize
from torch import nn
from torch.nn import functional

from se_mm import SETwin

TRIDENT = dict(
    depth=50,
    num_branch=3,
    test_branch_idx=1,
    trident_dilations=(1, 2, 3),
    num_stages=3,
    strides=(1, 2, 2),
    dilations=(1, 1, 1),
    out_indices=(2,),
)
SAC = dict(depth=50, conv_cfg=dict(type='ConvAWS'), sac=dict(type='SAC'), stage_with_sac=(False, True, True, True))
NARROW = dict(base_channels=16, stem_channels=16)
HOSTS = {
    'mmdet.Res2Net': dict(depth=50, **NARROW),
    'mmdet.ResNeSt': dict(depth=50, **NARROW),
    'mmdet.RegNet': dict(arch='regnetx_400mf'),
    'mmdet.TridentResNet': TRIDENT,
    'mmdet.DetectoRS_ResNet': dict(depth=50, **NARROW, rfp_inplanes=64),
    'mmdet.ResNetV1d': dict(depth=50, **NARROW),
    'mmpretrain.ResNet': dict(depth=18, **NARROW),
    'mmpretrain.ResNeXt': dict(depth=50, groups=32, width_per_group=4),
    'mmpretrain.ResNetV1d': dict(depth=50, **NARROW),
    'mmpretrain.Res2Net': dict(depth=50, **NARROW),
    'mmpretrain.ResNeSt': dict(depth=50, **NARROW),
    'mmpretrain.RegNet': dict(arch='regnetx_400mf'),
    'mmpretrain.ResNet_CIFAR': dict(depth=18, **NARROW),
}
OWN_FORWARD = ('mmdet.Res2Net', 'mmdet.TridentResNet', 'mmpretrain.ResNeSt')
every_host = pytest.mark.parametrize('name', HOSTS)
own_forward = pytest.mark.parametrize('name', OWN_FORWARD)


def image() -> torch.Tensor:
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def twin(name: str, **arguments) -> nn.Module:
    return randomize(SETwin(name, **copy.deepcopy(HOSTS[name]), **arguments)).eval()


def features(network: nn.Module) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        return as_tuple(network(image()))


def all_equal(ours, theirs) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@every_host
def test_with_plain_weights_it_is_the_plain_network_and_its_gates_learn(name):
    plain = randomize(MODELS.build(dict(type=name, **copy.deepcopy(HOSTS[name])))).double()
    se = twin(name, fold_norms=False).double()
    se.load_state_dict(plain.state_dict())
    x = image().double()
    for training in (False, True):
        se.train(training), plain.train(training)
        ours, theirs = as_tuple(se(x)), as_tuple(plain(x))
        assert all(feature.isfinite().all() for feature in theirs)
        assert all_equal(ours, theirs)
    sum(feature.square().mean() for feature in ours).backward()
    gates = [site.parent.se for site in se.attention_sites()]
    assert len(gates) == sum(len(getattr(plain, stage)) for stage in plain.res_layers)
    assert all(gate.fc2.weight.grad.any() for gate in gates)


@own_forward
def test_scaling_each_gate_scales_its_branch(name):
    """Against the definition: with the gates at s = sigmoid(b2), the last norms times s and no gates give the same."""
    se = twin(name)
    plain = randomize(MODELS.build(dict(type=name, **copy.deepcopy(HOSTS[name])))).double()
    plain.eval(), se.double()
    state = {key: value.clone() for key, value in se.state_dict().items() if '.se.' not in key}
    for site in se.attention_sites():
        nn.init.zeros_(site.parent.se.fc2.weight)
        for part in site.compensation:
            state[part.name] *= site.parent.se.fc2.bias.detach().sigmoid()
    plain.load_state_dict(state)
    with torch.no_grad():
        ours, theirs = as_tuple(se(image().double())), as_tuple(plain(image().double()))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('name', ['mmdet.Res2Net', 'mmpretrain.ResNeSt'])  # TridentNet's cannot be checkpointed
def test_checkpointed_blocks_recompute_with_their_gates(name):
    gradients = []
    for with_cp in (False, True):
        se = twin(name, with_cp=with_cp).train()
        x = image().requires_grad_()
        sum(feature.square().mean() for feature in as_tuple(se(x))).backward()
        gradients.append([p.grad for site in se.attention_sites() for p in site.parent.se.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_stochastic_depth_drops_the_branch_as_in_the_host():
    arguments = dict(depth=50, drop_path_rate=0.5)
    plain = randomize(MODELS.build(dict(type='mmpretrain.ResNet', **arguments))).double()
    se = SETwin('mmpretrain.ResNet', **arguments).double()
    se.load_state_dict(plain.state_dict())
    outputs = []
    for network in (se, plain):
        network.train()
        torch.manual_seed(0)
        outputs.append(network(image().double())[0])
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)


def test_detectors_start_from_a_plain_classifier_with_what_they_add_as_it_is(tmp_path):
    torch.save(randomize(ResNet(50)).state_dict(), tmp_path / 'plain.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'plain.pth'))
    plain = MODELS.build(dict(type='mmdet.DetectoRS_ResNet', **SAC, init_cfg=init_cfg))
    se = SETwin('mmdet.DetectoRS_ResNet', **SAC, init_cfg=init_cfg, se_init='identity')
    plain.init_weights(), se.init_weights()
    plain.eval(), se.eval()
    assert all_equal(features(se), features(plain))


class ScaledBlock(BasicBlock):
    def forward(self, x):
        u = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        return self.relu(0.5 * u + (x if self.downsample is None else self.downsample(x)))


class OwnHost(ResNet):
    arch_settings = {10: (ScaledBlock, (1, 1, 1, 1))}


def test_a_host_of_the_user_gets_gates_behind_its_last_norms():
    se = randomize(SETwin(OwnHost, depth=10)).double().eval()
    assert len(list(se.attention_sites())) == 4
    block = se.layer2[0]
    x = torch.rand(2, 64, 8, 8, dtype=torch.float64)

    def norm(layer: nn.Module, value: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(value, layer.running_mean, layer.running_var, layer.weight, layer.bias)

    u = norm(block.bn2, block.conv2(norm(block.bn1, block.conv1(x)).relu()))
    z = u.mean((2, 3), keepdim=True)
    s = block.se.fc2(block.se.fc1(z).relu()).sigmoid()
    shortcut = norm(block.downsample[1], block.downsample[0](x))
    torch.testing.assert_close(block(x), (0.5 * s * u + shortcut).relu(), rtol=1e-10, atol=1e-12)
