"""Weights of other libraries, saved as their users save them, give their feature maps in our backbones."""

from __future__ import annotations

import argparse
import copy
import hashlib

import mmpretrain.models as mmpretrain
import pytest
import timm
import torch
import torchvision
from mmdet.models import ResNet, ResNeXt
from mmengine.runner import load_checkpoint, save_checkpoint
from mmengine.runner.checkpoint import get_state_dict
from support.helpers import odd_inputs, randomize
from torch import nn

from se_mm import SeMmError, SEResNet, SEResNeXt

CAFFE = dict(style='caffe', stem_pool='caffe')
NARROW = dict(base_channels=16, stem_channels=16)
X32X4D = dict(groups=32, base_width=4)
TIMM = {
    'seresnet18': lambda: SEResNet(18),
    'seresnet50': lambda: SEResNet(50),
    'seresnet152': lambda: SEResNet(152),
    'seresnext50_32x4d': lambda: SEResNeXt(50, **X32X4D),
    'seresnext101_32x4d': lambda: SEResNeXt(101, **X32X4D),
    'seresnet152d': lambda: SEResNet(152, deep_stem=True, avg_down=True),
    'legacy_seresnet50': lambda: SEResNet(50, **CAFFE),
    'legacy_seresnext50_32x4d': lambda: SEResNeXt(50, stem_pool='caffe', **X32X4D),
}


def timm_features(model, x):
    """The four stages of a timm ResNet or legacy SENet."""
    if hasattr(model, 'layer0'):
        x = model.pool0(model.layer0(x))
    else:
        x = model.maxpool(model.act1(model.bn1(model.conv1(x))))
    features = []
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = stage(x)
        features.append(x)
    return features


@torch.no_grad()
def largest_difference(ours, features):
    differences = []
    for x in odd_inputs():
        for a, b in zip(ours.double().eval()(x), features(x), strict=True):
            assert a.shape == b.shape
            assert b.abs().max() > 1e-3
            differences.append((a - b).abs().max().item())
    return max(differences)


def pretrained(backbone, file, **kwargs):
    """What `init_cfg` does when mmengine initialises the backbone."""
    backbone.double()
    backbone.init_cfg = dict(type='Pretrained', checkpoint=str(file), **kwargs)
    backbone.init_weights()
    return backbone


@pytest.mark.parametrize(
    'name',
    [pytest.param(n, marks=pytest.mark.soak) if '152' in n or '101' in n else n for n in TIMM],
)
def test_timm(name, tmp_path):
    theirs = randomize(timm.create_model(name).double()).eval()
    torch.save(theirs.state_dict(), tmp_path / 'timm.pth')
    ours = pretrained(TIMM[name](), tmp_path / 'timm.pth')
    assert largest_difference(ours, lambda x: timm_features(theirs, x)) <= 1e-9


@pytest.mark.parametrize(
    ('depth', 'resnext', 'whole'),
    [
        (50, False, True),
        pytest.param(152, False, False, marks=pytest.mark.soak),
        (50, True, True),
        pytest.param(101, True, False, marks=pytest.mark.soak),
    ],
)
def test_mmpretrain(depth, resnext, whole, tmp_path):
    their_class = mmpretrain.SEResNeXt if resnext else mmpretrain.SEResNet
    theirs = randomize(their_class(depth, out_indices=(0, 1, 2, 3)).double())
    theirs.eval()
    saved = theirs.state_dict()
    if whole:
        saved = {f'backbone.{key}': value for key, value in saved.items()}
        saved |= {'head.fc.weight': torch.zeros(1000, 2048), 'head.fc.bias': torch.zeros(1000)}
    torch.save({'state_dict': saved, 'meta': {}}, tmp_path / 'mmpretrain.pth')
    ours = pretrained(SEResNeXt(depth, **X32X4D) if resnext else SEResNet(depth), tmp_path / 'mmpretrain.pth')
    assert largest_difference(ours, theirs) <= 1e-9


def as_mmdets(**arguments):
    """mmdet's plain host with the same weights; its stages are what ours must equal."""

    def features_of(theirs):
        host = (ResNeXt if 'groups' in arguments else ResNet)(**arguments).double()
        host.load_state_dict(theirs.state_dict(), strict=False)
        host.eval()
        return host

    return features_of


FOUR_STAGES = dict(out_indices=(0, 1, 2, 3))
RESNET_D = dict(deep_stem=True, avg_down=True)
#: A plain network, ours, and what gives the plain one's stages; ``None``: it does.
PLAIN = {
    'torchvision 18': (torchvision.models.resnet18, lambda: SEResNet(18), as_mmdets(depth=18)),
    'torchvision 50': (torchvision.models.resnet50, lambda: SEResNet(50), as_mmdets(depth=50)),
    'torchvision x50': (
        torchvision.models.resnext50_32x4d,
        lambda: SEResNeXt(50, **X32X4D),
        as_mmdets(depth=50, **X32X4D),
    ),
    'mmpretrain 34': (lambda: mmpretrain.ResNet(34, **FOUR_STAGES), lambda: SEResNet(34), None),
    'mmpretrain 50 d': (lambda: mmpretrain.ResNetV1d(depth=50, **FOUR_STAGES), lambda: SEResNet(50, **RESNET_D), None),
    'mmdet caffe': (lambda: ResNet(50, style='caffe'), lambda: SEResNet(50, style='caffe'), None),
    'timm 50 d': (
        lambda: timm.create_model('resnet50d'),
        lambda: SEResNet(50, **RESNET_D),
        lambda theirs: lambda x: timm_features(theirs, x),
    ),
}


@pytest.mark.parametrize('name', PLAIN)
def test_plain_networks_bit_for_bit(name, tmp_path):
    build_theirs, build_ours, features_of = PLAIN[name]
    theirs = randomize(build_theirs().double())
    theirs.eval()
    torch.save(theirs.state_dict(), tmp_path / 'plain.pth')
    ours = pretrained(build_ours(), tmp_path / 'plain.pth').eval()
    features = features_of(theirs) if features_of else theirs
    for x in odd_inputs():
        assert all(torch.equal(a, b) for a, b in zip(ours(x), features(x), strict=True))


def linear_gates(weights, biases):
    """The layout of senet.pytorch: linear layers in a sequence, without biases."""
    renamed = {}
    for key, value in weights.items():
        key = key.replace('.se.fc1.', '.se.fc.0.').replace('.se.fc2.', '.se.fc.2.')
        if '.se.fc.' in key and key.endswith('bias') and not biases:
            continue
        renamed[key] = value.flatten(1) if '.se.fc.' in key and key.endswith('weight') else value
    return renamed


@pytest.mark.parametrize('biases', [True, False])
def test_linear_gates(biases, tmp_path):
    theirs = randomize(SEResNet(50, se_bias=biases, **NARROW).double()).eval()
    torch.save(linear_gates(theirs.state_dict(), biases), tmp_path / 'linear.pth')
    ours = pretrained(SEResNet(50, **NARROW), tmp_path / 'linear.pth')
    assert largest_difference(ours, theirs) == 0


def under(prefix, weights):
    return {f'{prefix}{key}': value for key, value in weights.items()}


def zeros(weights):
    return {key: 0 * value for key, value in weights.items()}


WRAPPINGS = {
    'raw': lambda w: w,
    'state_dict': lambda w: {'state_dict': w, 'epoch': 3},
    'model': lambda w: {'model': w, 'optimizer': {'state': {}}},
    'module': lambda w: under('module.', w),
    'compiled in DDP': lambda w: under('module._orig_mod.', w),
    'state_dict, module': lambda w: {'state_dict': under('module.', w), 'arch': 'seresnet50'},
    'ema': lambda w: {'state_dict_ema': under('module.', w)},
    'model beside its average': lambda w: {'model': zeros(w), 'model_ema': under('module.', w)},
    'state_dict beside its average': lambda w: {'state_dict': zeros(w), 'state_dict_ema': under('module.', w)},
    'facts of an average': lambda w: {'ema': {'decay': 0.9, 'updates': torch.tensor(3)}, 'state_dict': w},
    'an empty average': lambda w: {'state_dict_ema': {}, 'state_dict': w},
    'arguments of a command': lambda w: {'model': w, 'args': argparse.Namespace(lr=0.1), 'epoch': 3},
    'a tensor beside it': lambda w: {'state_dict': w, 'epoch': 3, 'best_acc1': torch.tensor(77.0)},
    'backbone': lambda w: {'state_dict': under('backbone.', w)},
    'lightning': lambda w: {'state_dict': under('model.', w), 'pytorch-lightning_version': '2'},
    'detector in DDP': lambda w: {
        'state_dict': {
            **under('module.backbone.', w),
            'module.neck.lateral_convs.0.conv.weight': torch.ones(1),
            'module.neck.rfp.layer1.0.conv1.weight': torch.ones(1),
        }
    },
}


@pytest.mark.parametrize('wrapping', WRAPPINGS)
def test_wrappings(wrapping, tmp_path):
    theirs = randomize(SEResNet(18), seed=3)
    torch.save(WRAPPINGS[wrapping](dict(theirs.state_dict())), tmp_path / 'weights.pth.tar')
    ours = SEResNet(18, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth.tar')))
    ours.init_weights()
    expected = theirs.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in ours.state_dict().items())


def test_the_style_of_its_own_weights_travels_with_them(tmp_path):
    detector = nn.Module()
    detector.backbone = SEResNet(50, **CAFFE, **NARROW)
    save_checkpoint({'state_dict': get_state_dict(detector), 'meta': {}}, str(tmp_path / 'epoch_1.pth'))
    again = copy.deepcopy(detector)
    load_checkpoint(again, str(tmp_path / 'epoch_1.pth'), strict=True)
    pretrained(SEResNet(50, **CAFFE, **NARROW), tmp_path / 'epoch_1.pth')
    pretrained(SEResNet(50, **CAFFE, **NARROW), tmp_path / 'epoch_1.pth', prefix='backbone.')
    with pytest.raises(SeMmError, match=r"need style='caffe' .* and stem_pool='caffe'"):
        pretrained(SEResNet(50, **NARROW), tmp_path / 'epoch_1.pth')
    with pytest.raises(SeMmError, match="need style='caffe'"):
        pretrained(SEResNet(50, **NARROW), tmp_path / 'epoch_1.pth', prefix='backbone.')


def test_plugins_and_offsets_keep_their_initial_values(tmp_path):
    theirs = randomize(timm.create_model('seresnet50'))
    torch.save(theirs.state_dict(), tmp_path / 'timm.pth')
    ours = SEResNet(
        50,
        dcn=dict(type='DCN', deform_groups=1),
        stage_with_dcn=(False, False, False, True),
        plugins=[dict(cfg=dict(type='ContextBlock', ratio=1 / 16), position='after_conv3')],
    )
    offsets = ours.layer4[0].conv2.conv_offset.weight.clone()
    load_checkpoint(ours, str(tmp_path / 'timm.pth'))
    assert torch.equal(ours.layer4[0].conv2.weight, theirs.layer4[0].conv2.weight)
    assert torch.equal(ours.layer4[0].conv2.conv_offset.weight, offsets)


def test_one_line_says_what_was_loaded_and_what_was_left(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('se_mm.weights.loading.print_log', lambda line, **_: said.append(line))
    file = tmp_path / 'weights.pth'
    torch.save(timm.create_model('legacy_seresnet50').state_dict(), file)
    ours = SEResNet(50, **CAFFE)
    ours.load_pretrained(str(file))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f'{len(ours.state_dict())} tensors from {file} (sha256 {digest[:16]})' in said[0]
    assert 'family: Caffe' in said[0]
    assert said[0].endswith('left: last_linear')

    plain = torchvision.models.resnet50().state_dict()
    torch.save(plain, file)
    SEResNet(50).load_pretrained(str(file))
    assert f'{len(plain) - 2} tensors from' in said[1]  # all but the classifier's; new gates are not counted
