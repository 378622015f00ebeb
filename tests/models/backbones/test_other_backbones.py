"""VGG, the Inceptions, MobileNet and ShuffleNet with SE as backbones: sizes, frozen stages, copies, deployment."""

from __future__ import annotations

import copy
import io

import mmpretrain.models as mmpretrain
import pytest
import timm
import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from support.helpers import REPOSITORY, randomize
from test_twin import TRIDENT
from torch import nn

from se_mm import SeMmError, SETwin
from se_mm.config.load import load_config
from se_mm.models.backbones import BNInception, TimmInceptionResNetV2, TimmInceptionV3, TimmMobileNetV1
from se_mm.models.hosts.adapters import find_adapter
from se_mm.swap.building import shapes_only

#: Up to a feature map in the middle, which takes a second.
SHORT = {
    'VGG': dict(host='mmpretrain.VGG', depth=11, norm_cfg=dict(type='BN'), num_stages=3, dilations=(1, 1, 1)),
    'BN-Inception': dict(host='se_mm.BNInception'),
    'Inception-v3': dict(host='timm.inception_v3', same_padding=True),
    'Inception-ResNet-v2': dict(host='timm.inception_resnet_v2'),
    'MobileNet': dict(host='timm.mobilenetv1_100'),
    'ShuffleNet': dict(host='mmpretrain.ShuffleNetV1'),
    'PreResNet': dict(host='se_mm.PreActResNetCIFAR', depth=20),
}
OWN_FORWARD = {
    'Res2Net': dict(host='mmdet.Res2Net', depth=50),
    'TridentNet': dict(host='mmdet.TridentResNet', **TRIDENT),
    'ResNeSt': dict(host='mmpretrain.ResNeSt', depth=50),
}
DETECTORS = ('vgg16_bn', 'bninception', 'inception_v3', 'inception_resnet_v2', 'mobilenet_v1', 'shufflenet_v1')


def short(name: str, **arguments) -> nn.Module:
    return randomize(SETwin(**copy.deepcopy({'out_indices': (2,), **(SHORT | OWN_FORWARD)[name], **arguments}))).eval()


def image(height: int = 96, width: int = 128) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('name', ['timm.inception_v3', 'timm.inception_resnet_v2'])
def test_same_padding_gives_the_sizes_that_anchors_expect(name):
    size = (801, 1333)
    with torch.device('meta'):
        network = SETwin(name, out_indices=range(5), same_padding=True).eval()
        valid = SETwin(name, out_indices=range(5)).eval()
        features, smaller = network(torch.empty(1, 3, *size)), valid(torch.empty(1, 3, *size))
    for i, feature in enumerate(features):
        assert feature.shape[2:] == tuple(-(-edge // 2 ** (i + 1)) for edge in size)
    assert all(small.shape[2] < same.shape[2] for small, same in zip(smaller, features, strict=True))
    assert [p.shape for p in network.parameters()] == [p.shape for p in valid.parameters()]


@torch.no_grad()
def test_same_padding_is_the_padding_of_each_window():
    """Against mmpretrain's Inception-v3, whose poolings are modules."""
    network = short('Inception-v3', out_indices=(3,), attention_stages=()).double()
    with torch.device('meta'):
        reference = mmpretrain.InceptionV3(num_classes=2)
    reference = reference.double().to_empty(device='cpu')
    reference.load_state_dict(network.state_dict(), strict=False)
    reference.eval()
    for module in reference.modules():
        if isinstance(module, nn.Conv2d):
            module.padding = tuple(size // 2 for size in module.kernel_size)
        elif isinstance(module, nn.MaxPool2d):
            module.padding = 1
    seen = []
    reference.Mixed_6e.register_forward_hook(lambda _, __, output: seen.append(output))
    x = image(67, 97).double()
    (ours,) = network(x)
    reference(x)
    torch.testing.assert_close(ours, seen[0], rtol=1e-9, atol=1e-9 * seen[0].abs().max().item())


@torch.no_grad()
def test_bninception_takes_any_size():
    network = short('BN-Inception', out_indices=(0, 1, 2, 3, 4))
    for size in ((65, 97), (91, 51)):
        features = network(image(*size))
        assert [feature.shape[1] for feature in features] == [64, 192, 320, 608, 1024]
        assert all(feature.isfinite().all() for feature in features)


@pytest.mark.parametrize('name', [*SHORT, 'Res2Net'])
def test_frozen_stages_freeze_their_gates_and_norms_keep_their_statistics(name):
    network = short(name, frozen_stages=2, norm_eval=True, **({'out_indices': (3,)} if 'Inc' in name else {}))
    network.train()
    assert all(not module.training for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    gates = {site.stage: [p.requires_grad for p in site.parent.se.parameters()] for site in network.attention_sites()}
    last = 2 if name in ('VGG', 'ShuffleNet', 'PreResNet', 'Res2Net') else 3  # these count stages, the others maps
    assert all(any(learns) is (stage >= last) for stage, learns in gates.items())
    before = copy.deepcopy(network.state_dict())
    network(image())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


PLAIN = [BNInception, TimmInceptionResNetV2, TimmInceptionV3, TimmMobileNetV1]


@pytest.mark.parametrize('network', PLAIN)
def test_a_plain_network_is_frozen_before_it_trains_as_a_wrapper_for_several_processes_needs(network):
    with torch.device('meta'):
        parameters = dict(network(frozen_stages=1).named_parameters())
        open_ones = dict(network(frozen_stages=-1).named_parameters())
    frozen = [name for name, parameter in parameters.items() if not parameter.requires_grad]
    assert 0 < len(frozen) < len(parameters)
    assert all(parameter.requires_grad for parameter in open_ones.values())


@pytest.mark.parametrize('name', SHORT | OWN_FORWARD)
def test_a_copy_and_a_pickled_one_have_gates_of_their_own(name):
    network = short(name)
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    with torch.no_grad():
        (expected,) = network(image())
        for other in (copy.deepcopy(network), torch.load(file, weights_only=False)):
            assert type(other) is type(network)
            assert torch.equal(other(image())[0], expected)
            for site in other.attention_sites():
                nn.init.constant_(site.parent.se.fc2.bias, -100)
            assert not torch.allclose(other(image())[0], expected)
        assert torch.equal(network(image())[0], expected)


@pytest.mark.parametrize('name', ['VGG', 'BN-Inception', 'ShuffleNet', *OWN_FORWARD])
def test_converted_norms_keep_the_gates(name):
    network = short(name)
    converted = revert_sync_batchnorm(nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(network))).eval()
    with torch.no_grad():
        torch.testing.assert_close(converted(image())[0], network(image())[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('training', [True, False])
def test_norms_of_timm_that_lost_their_activation_are_refused(training):
    network = nn.SyncBatchNorm.convert_sync_batchnorm(short('MobileNet').train(training))
    with pytest.raises(SeMmError, match=r'bn1 has become a SyncBatchNorm, .*timm.layers.convert_sync_batchnorm'):
        network(image())


def test_the_antialiasing_of_timms_blocks_stays():
    plain = timm.create_model('mobilenetv1_100', aa_layer='avg', features_only=True).eval()
    network = SETwin(
        'timm.mobilenetv1_100', aa_layer='avg', out_indices=range(5), attention=dict(type='SELayer', start='gain')
    )
    randomize(plain)
    network.load_state_dict(plain.state_dict())
    with torch.no_grad():
        for ours, theirs in zip(network.eval()(image()), plain(image()), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', DETECTORS)
def test_the_neck_of_its_detector_fits(name):
    cfg = load_config(str(REPOSITORY / f'configs/faster_rcnn_se_{name}_coco.py'))
    with MODELS.switch_scope_and_registry('mmdet') as registry, shapes_only():
        model = registry.build(cfg.model)
        maps = model.extract_feat(torch.empty(1, 3, 128, 192))
    strides = cfg.model.rpn_head.anchor_generator.strides
    assert [tuple(m.shape[2:]) for m in maps] == [(-(-128 // stride), -(-192 // stride)) for stride in strides]
    assert find_adapter(model.backbone).se_divisor == 1
    assert {site.stage for site in model.backbone.attention_sites()} <= set(range(5))
