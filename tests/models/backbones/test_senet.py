"""SENet-154: as many parameters as published, and the feature maps of other implementations."""

from __future__ import annotations

import pretrainedmodels.models.senet as cadene
import pytest
import timm
import torch
from support.helpers import odd_inputs, randomize
from timm.models import resnet, senet
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from se_mm import SeMmError, SENet
from se_mm.weights.conversion import convert
from se_mm.weights.loading import adapt

BLOCKS = (2, 2, 2, 2)  # with a projection and an identity in each stage
CADENE = dict(groups=64, reduction=16, inplanes=128, downsample_kernel_size=3, downsample_padding=1)
GLUON = dict(cardinality=64, base_width=4, stem_type='deep', stem_width=64, down_kernel_size=3, block_reduce_first=2)
THEIRS = {
    'timm legacy_senet154': lambda: senet.SENet(senet.SEBottleneck, BLOCKS, input_3x3=True, **CADENE),
    'timm senet154': lambda: resnet.ResNet(resnet.Bottleneck, BLOCKS, block_args=dict(attn_layer='se'), **GLUON),
    'pretrainedmodels senet154': lambda: cadene.SENet(cadene.SEBottleneck, BLOCKS, dropout_p=0.2, **CADENE),
}

#: Cadene's two packages have one network.
each_of_theirs = pytest.mark.parametrize(
    'name', [pytest.param(name, marks=pytest.mark.soak) if 'pretrained' in name else name for name in THEIRS]
)


def on_meta(build, *args, **kwargs):
    with torch.device('meta'):
        return build(*args, **kwargs)


def count(network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def features_of(theirs, x):
    if hasattr(theirs, 'layer0'):  # in Cadene's the pooling is part of it
        x = getattr(theirs, 'pool0', nn.Identity())(theirs.layer0(x))
    else:
        x = theirs.maxpool(theirs.act1(theirs.bn1(theirs.conv1(x))))
    features = []
    for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        x = stage(x)
        features.append(x)
    return features


@each_of_theirs
@torch.no_grad()
def test_the_maps_of_other_implementations(name, tmp_path):
    theirs = randomize(THEIRS[name]().double()).eval()
    torch.save(theirs.state_dict(), tmp_path / 'theirs.pth')
    ours = SENet(28, stem_pool='torch' if name == 'timm senet154' else 'caffe').double().eval()
    ours.load_pretrained(str(tmp_path / 'theirs.pth'))
    x = odd_inputs()[0]  # the two poolings differ there
    for a, b in zip(ours(x), features_of(theirs, x), strict=True):
        assert a.shape == b.shape
        assert b.abs().max() > 1e-3
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_parameters_and_multiply_adds():
    """115,088,984 with the classifier: the authors' prototxt, timm, Cadene; 20.7 GMAC: table 8 of ShuffleNet v2."""
    classifier = 2048 * 1000 + 1000
    network = on_meta(SENet, 154).eval()
    assert count(network) + classifier == 115_088_984
    assert count(network) + classifier == count(on_meta(timm.create_model, 'legacy_senet154'))
    assert count(on_meta(SENet, 154, attention_stages=())) + classifier == 108_459_944
    for size, giga in ((224, 20.688), (320, 42.21)):
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            network(torch.empty(1, 3, size, size, device='meta'))
        assert counter.get_total_flops() / 2 + 2048 * 1000 == pytest.approx(giga * 1e9, rel=0.0005)


def test_its_weights_do_not_load_into_another_network():
    weights = on_meta(SENet, 16).state_dict()
    with pytest.raises(SeMmError, match='layer2.0.downsample.0.weight'):
        adapt(on_meta(SENet, 16, down_kernel=1), dict(weights), '', {})
    with pytest.raises(SeMmError, match=r'layer1.0.conv1.weight \(128, 128, 1, 1\) for \(256, 128, 1, 1\)'):
        adapt(on_meta(SENet, 16, reduce_first=1), dict(weights), '', {})


@each_of_theirs
def test_conversion_there_and_back_is_exact(name, tmp_path):
    theirs = THEIRS[name]().state_dict()
    theirs = {key: value for key, value in theirs.items() if 'last_linear' not in key and not key.startswith('fc')}
    torch.save(theirs, tmp_path / 'theirs.pth')
    convert(tmp_path / 'theirs.pth', tmp_path / 'ours.pth', 'se_mm')
    convert(tmp_path / 'ours.pth', tmp_path / 'again.pth', 'timm')
    again = torch.load(tmp_path / 'again.pth', weights_only=True)
    assert {key for key in theirs if not key.endswith('num_batches_tracked')} <= set(again)
    assert all(torch.equal(value, theirs[key]) for key, value in again.items())
    with pytest.raises(SeMmError, match='3x3 convolutions in its shortcuts'):
        convert(tmp_path / 'ours.pth', tmp_path / 'other.pth', 'mmdet')


@torch.no_grad()
def test_a_dilated_stage_keeps_the_shape_of_its_weights():
    plain = on_meta(SENet, 16).state_dict()
    dilated = SENet(16, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), out_indices=(3,)).eval()
    assert {key: v.shape for key, v in dilated.state_dict().items()} == {key: v.shape for key, v in plain.items()}
    assert dilated(torch.rand(1, 3, 64, 64))[0].shape == (1, 2048, 4, 4)


def test_deformable_convolutions_and_plugins_take_the_narrow_maps():
    network = SENet(
        16,
        groups=32,
        dcn=dict(type='DCN', deform_groups=1),
        stage_with_dcn=(False, False, False, True),
        plugins=[dict(cfg=dict(type='ContextBlock', ratio=1 / 16), position='after_conv1')],
    ).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 64))[3].shape == (1, 2048, 2, 2)
    assert type(network.layer4[0].conv2).__name__.startswith('DeformConv2d')
