"""A deployed backbone gives the same maps, and cannot be mistaken for one that can be trained."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch
from mmdet.models import ResNet
from mmdet.models.backbones.resnet import BasicBlock
from support.helpers import as_tuple, randomize
from torch import nn

from se_mm import SeMmError, SENet, SEResNet, SEResNeXt, SETwin

NARROW = dict(base_channels=16, stem_channels=16)
DEFORMABLE = dict(dcn=dict(type='DCNv2', deform_groups=1), stage_with_dcn=(False, True, True, True))
NETWORKS = {
    'SE-ResNet-18': lambda: SEResNet(18, **NARROW),
    'SE-ResNet-50': lambda: SEResNet(50, **NARROW),
    'caffe': lambda: SEResNet(50, **NARROW, style='caffe', stem_pool='caffe'),
    'deep stem': lambda: SEResNet(50, **NARROW, deep_stem=True, avg_down=True),
    'two stages': lambda: SEResNet(18, **NARROW, se_stages=(1, 2)),
    'SE-ResNeXt-50': lambda: SEResNeXt(50, groups=32, base_width=4),
    'group norm': lambda: SEResNet(18, norm_cfg=dict(type='GN', num_groups=32)),
    'weight standardisation': lambda: SEResNet(18, **NARROW, conv_cfg=dict(type='ConvWS')),
    'dcn': lambda: SEResNet(50, **NARROW, **DEFORMABLE),
    'Res2Net': lambda: SETwin('mmdet.Res2Net', depth=50, **NARROW),
    'ResNeSt': lambda: SETwin('mmpretrain.ResNeSt', depth=50, **NARROW),
    'mmpretrain': lambda: SETwin('mmpretrain.ResNetV1d', depth=50, **NARROW),
    'VGG': lambda: SETwin('mmpretrain.VGG', depth=11, norm_cfg=dict(type='BN')),
    'BN-Inception': lambda: SETwin('se_mm.BNInception'),
    'Inception-v3': lambda: SETwin('timm.inception_v3'),
    'Inception-ResNet-v2': lambda: SETwin('timm.inception_resnet_v2', out_indices=(2,)),
    'MobileNet': lambda: SETwin('timm.mobilenetv1_100'),
    'ShuffleNet': lambda: SETwin('mmpretrain.ShuffleNetV1'),
    'SENet': lambda: SENet(16),
    'PreResNet': lambda: SETwin('se_mm.PreActResNetCIFAR', depth=20),
    'PreResNet, bottlenecks': lambda: SETwin('se_mm.PreActResNetCIFAR', depth=20, bottleneck=True),
    'WRN': lambda: SETwin('se_mm.WideResNetCIFAR', depth=10, widen_factor=2),
    'Shake': lambda: SETwin('se_mm.ShakeResNetCIFAR', depth=14, base_width=16),
    'ShakeNeXt': lambda: SETwin('se_mm.ShakeResNeXtCIFAR', depth=11, groups=2, base_width=4),
}


#: Norms that stand behind no convolution of their own stay.
KEEP_NORMS = ('weight standardisation', 'dcn', 'Res2Net', 'PreResNet', 'PreResNet, bottlenecks', 'WRN', 'Shake')


def image():
    return torch.randn(2, 3, 80, 76, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def assert_deploys(network: nn.Module, compiled: bool = False) -> nn.Module:
    """Deployed, it gives the same up to rounding; returns it."""
    for dtype, bound in [(torch.float32, 1e-4), (torch.float64, 1e-9)][: 1 if compiled else 2]:
        network, x = network.to(dtype), image().to(dtype)
        deployed = copy.deepcopy(network).deploy(compiled=compiled)
        for ours, theirs in zip(as_tuple(deployed(x)), as_tuple(network(x)), strict=True):
            assert (ours - theirs).abs().max() <= bound * theirs.abs().max()
    return deployed


@pytest.mark.parametrize('name', NETWORKS)
def test_outputs_are_equal_to_rounding(name):
    deployed = assert_deploys(randomize(NETWORKS[name]()).eval())
    folded = not any(isinstance(module, nn.BatchNorm2d) for module in deployed.modules())
    assert folded is (name not in KEEP_NORMS)
    assert not any(parameter.requires_grad for parameter in deployed.parameters())


def test_it_refuses_to_train_and_to_be_given_weights():
    network = SEResNet(18)
    weights = copy.deepcopy(network.state_dict())
    network.deploy().eval()
    with pytest.raises(SeMmError, match='this SEResNet is deployed: its norms are part of its convolutions'):
        network.train()
    with pytest.raises(SeMmError, match='load its weights before'):
        network.load_state_dict(weights)
    expected = network.deploy()(image())  # a second time does nothing
    assert all(torch.equal(a, b) for a, b in zip(network(image()), expected, strict=True))


class Shuffled(BasicBlock):
    """Its modules are registered in an order in which they do not run."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        norms = self._modules.pop('bn1'), self._modules.pop('bn2')
        self._modules['bn2'], self._modules['bn1'] = norms[1], norms[0]
        self._modules['conv2'] = self._modules.pop('conv2')
        self._modules['bn1'] = self._modules.pop('bn1')


class ShuffledHost(ResNet):
    arch_settings = {10: (Shuffled, (1, 1, 1, 1))}


def test_a_network_that_does_not_run_in_its_order_is_refused():
    network = randomize(SETwin(ShuffledHost, depth=10, strides=(1, 1, 2, 2)))
    with pytest.raises(SeMmError, match='SEShuffledHost cannot be deployed: folding its norms changes output 0 by'):
        network.deploy()


def test_compiled_it_is_the_same():
    if shutil.which('g++') is None:
        pytest.skip('torch.compile needs a C++ compiler')
    small = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), base_channels=16, stem_channels=16)
    assert_deploys(randomize(SEResNet(18, **small)).eval(), compiled=True)


def test_a_model_without_se_has_nothing_to_deploy():
    from se_mm.engine.evaluation import deploy

    with pytest.raises(SeMmError, match='the model has none'):
        deploy(nn.Sequential(ResNet(18)))
    model = nn.Sequential(SEResNet(18))
    deploy(model)
    assert model[0].is_deployed


def test_a_convolution_with_a_hook_keeps_its_norm():
    network = randomize(SEResNet(18)).eval()
    network.layer2[0].conv1.register_forward_hook(lambda module, args, output: 2 * output)
    assert isinstance(assert_deploys(network).layer2[0].bn1, nn.BatchNorm2d)


@pytest.mark.parametrize('deployed', [False, True])
def test_what_a_hook_was_given_stays_as_it_was(deployed):
    network = randomize(SEResNet(50)).eval()
    if deployed:
        network.deploy()
    with torch.no_grad():
        expected = network(image())
        seen = {}
        for name in ('conv1', 'conv2', 'conv3'):
            module = getattr(network.layer2[1], name)
            module.register_forward_hook(lambda m, args, out, name=name: seen.update({name: (out, out.clone())}))
        for ours, theirs in zip(network(image()), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    if not deployed:
        assert len(seen) == 3
        assert all(torch.equal(given, copied) for given, copied in seen.values())
