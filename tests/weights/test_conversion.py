"""tools/convert_checkpoint.py: each library loads what is written for it, and the way back is exact."""

from __future__ import annotations

import mmpretrain.models as mmpretrain
import pytest
import timm
import torch
from mmdet.models import ResNet
from mmengine.runner import load_checkpoint
from safetensors.torch import load_file
from support.helpers import odd_inputs, randomize
from test_families import largest_difference, timm_features
from torch import nn

from se_mm import SeMmError, SEResNet, SETwin
from se_mm.weights.conversion import convert
from se_mm.weights.files import read_checkpoint


def state_of(file):
    checkpoint = read_checkpoint(file)
    return checkpoint.get('state_dict', checkpoint)


@pytest.mark.parametrize(
    ('name', 'ways', 'suffix'),
    [
        ('seresnet18', ['mmpretrain', 'mmdet', 'se_mm'], '.safetensors'),
        ('seresnet50', ['mmpretrain', 'se_mm', 'mmdet'], '.pth'),
        ('seresnext50_32x4d', ['se_mm', 'mmpretrain'], '.pth'),
        ('legacy_seresnet50', ['se_mm'], '.safetensors'),
        ('legacy_seresnext50_32x4d', ['se_mm'], '.pth'),
        pytest.param('seresnet152d', ['se_mm', 'mmpretrain'], '.pth', marks=pytest.mark.soak),
        ('resnet50', ['mmdet', 'se_mm', 'mmpretrain'], '.pth'),
        ('resnet50d', ['mmpretrain', 'mmdet'], '.safetensors'),
    ],
)
def test_there_and_back_is_exact(name, ways, suffix, tmp_path):
    original = randomize(timm.create_model(name)).state_dict()
    here = tmp_path / 'timm.pth'
    torch.save(original, here)
    for to in [*ways, 'timm']:
        there = tmp_path / f'{to}_again{suffix}'
        convert(here, there, to)
        here = there
    back = state_of(here)
    assert set(back) == set(original)
    assert all(torch.equal(back[key], value) and back[key].dtype == value.dtype for key, value in original.items())
    timm.create_model(name).load_state_dict(back, strict=True)


def test_the_other_libraries_give_our_features(tmp_path):
    ours = randomize(SEResNet(50).double()).eval()
    torch.save({'state_dict': ours.state_dict()}, tmp_path / 'ours.pth')
    convert(tmp_path / 'ours.pth', tmp_path / 'timm.safetensors', 'timm')
    for to in ('mmpretrain', 'mmdet'):
        convert(tmp_path / 'ours.pth', tmp_path / f'{to}.pth', to)

    timms = timm.create_model('seresnet50', num_classes=0).double().eval()
    timms.load_state_dict(load_file(tmp_path / 'timm.safetensors'), strict=True)
    assert largest_difference(ours, lambda x: timm_features(timms, x)) <= 1e-9

    classifier = nn.Module()
    classifier.backbone = mmpretrain.SEResNet(50, out_indices=(0, 1, 2, 3)).double()
    classifier.eval()
    classifier.load_state_dict(state_of(tmp_path / 'mmpretrain.pth'), strict=False)
    assert largest_difference(ours, classifier.backbone) <= 1e-9

    mmdets = ResNet(50, plugins=[dict(cfg=dict(type='se_mm.SELayer'), position='after_conv3')]).double()
    missing, _ = mmdets.load_state_dict(state_of(tmp_path / 'mmdet.pth'), strict=False)
    mmdets.eval()
    assert not missing
    assert largest_difference(ours, mmdets) <= 1e-9


def test_a_detectors_backbone_is_taken_out(tmp_path):
    detector = nn.ModuleDict({'backbone': SEResNet(50, style='caffe', stem_pool='caffe'), 'neck': nn.Linear(2, 2)})
    torch.save({'state_dict': detector.state_dict(), 'meta': {}}, tmp_path / 'epoch_12.pth')
    said = convert(tmp_path / 'epoch_12.pth', tmp_path / 'timm.pth', 'timm')
    assert 'left: neck' in said
    timms = timm.create_model('legacy_seresnet50', num_classes=0)
    timms.load_state_dict(torch.load(tmp_path / 'timm.pth', weights_only=True), strict=True)
    x = odd_inputs(dtype=torch.float32)[0]
    ours = detector['backbone'].eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(x)[-1], timm_features(timms.eval(), x)[-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('arguments', 'to', 'message'),
    [
        (dict(style='caffe'), 'timm', "no such network with style='caffe'"),
        (dict(stem_pool='caffe'), 'timm', "no SE network with style='pytorch' and the stem pooling"),
        (dict(stem_pool='caffe'), 'mmpretrain', 'the stem pooling of Caffe'),
        (dict(attention_position='post'), 'timm', "no network with .*'attention_position': 'post'"),
        (dict(attention='ECALayer'), 'mmpretrain', r'no place for this attention \(layer1.0.se.conv.weight'),
        (dict(attention='FcaLayer'), 'mmdet', 'no network with .*FcaLayer'),
        (dict(attention=dict(type='SELayer', start='blend')), 'timm', 'layer1.0.se.alpha'),
        (dict(norm_cfg=dict(type='GN', num_groups=32)), 'timm', 'gn1.weight'),
        (dict(attention_blocks=[[0], None, None, None]), 'mmpretrain', 'in some units and not in layer1'),
    ],
)
def test_what_a_library_does_not_have_is_refused(arguments, to, message, tmp_path):
    torch.save(SEResNet(50, **arguments).state_dict(), tmp_path / 'ours.pth')
    with pytest.raises(SeMmError, match=message):
        convert(tmp_path / 'ours.pth', tmp_path / 'theirs.pth', to)
    assert not (tmp_path / 'theirs.pth').exists()


GROUP_NORM = dict(norm_cfg=dict(type='GN', num_groups=32))
DEFORMABLE = dict(dcn=dict(type='DCNv2', deform_groups=1), stage_with_dcn=(False, False, False, True))


@pytest.mark.parametrize(('arguments', 'to'), [(GROUP_NORM, 'mmpretrain'), ({**GROUP_NORM, **DEFORMABLE}, 'mmdet')])
def test_the_openmmlab_libraries_have_group_norms_and_mmdet_deformable_convolutions(arguments, to, tmp_path):
    plain = ResNet(50, **arguments)
    torch.save(plain.state_dict(), tmp_path / 'a.pth')
    convert(tmp_path / 'a.pth', tmp_path / 'b.pth', to)
    written = {key.removeprefix('backbone.'): value for key, value in state_of(tmp_path / 'b.pth').items()}
    assert {key for key in written if not key.startswith('fc')} == set(plain.state_dict())


OTHER_HOSTS = {
    'RegNet': lambda: SETwin('mmdet.RegNet', arch='regnetx_400mf'),
    'CIFAR': lambda: SETwin('mmpretrain.ResNet_CIFAR', depth=18),
    'pre-activation': lambda: SETwin('se_mm.PreActResNetCIFAR', depth=20),
}


@pytest.mark.parametrize('host', OTHER_HOSTS)
def test_other_residual_networks_keep_every_tensor_in_our_names_and_have_no_others(host, tmp_path):
    network = randomize(OTHER_HOSTS[host]())
    torch.save(network.state_dict(), tmp_path / 'ours.pth')
    for to in ('timm', 'mmpretrain', 'mmdet'):
        with pytest.raises(SeMmError, match=f'{to} has no place in its ResNet for these'):
            convert(tmp_path / 'ours.pth', tmp_path / 'theirs.pth', to)
    convert(tmp_path / 'ours.pth', tmp_path / 'again.pth', 'se_mm')
    again = state_of(tmp_path / 'again.pth')
    assert set(again) == set(network.state_dict())
    OTHER_HOSTS[host]().load_pretrained(str(tmp_path / 'again.pth'))


def test_an_unknown_style_stays_unknown(tmp_path):
    detector = {f'backbone.{key}': value for key, value in ResNet(50, style='caffe').state_dict().items()}
    torch.save({'state_dict': detector}, tmp_path / 'detector.pth')
    convert(tmp_path / 'detector.pth', tmp_path / 'ours.pth', 'se_mm')
    load_checkpoint(SEResNet(50, style='caffe'), str(tmp_path / 'ours.pth'))


def test_a_projection_head_beside_the_stages_is_left(tmp_path):
    network = timm.create_model('resnet18', num_classes=0).state_dict()
    torch.save({**network, 'fc.0.weight': torch.zeros(8, 512)}, tmp_path / 'moco.pth')
    assert 'left: fc' in convert(tmp_path / 'moco.pth', tmp_path / 'timm.pth', 'timm')
    assert set(state_of(tmp_path / 'timm.pth')) == set(network)


def test_files_that_cannot_be_read_or_written(tmp_path):
    torch.save(SEResNet(18).state_dict(), tmp_path / 'ours.pth')
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / 'linear.pth')
    (tmp_path / 'file').write_text('')
    for source, target, message in (
        ('ours.pth', 'file/out.pth', 'cannot be written'),
        ('ours.pth', 'file/out.safetensors', 'cannot be written'),
        ('ours.pth', 'ours.pth', 'write to another'),
        ('linear.pth', 'out.pth', 'no residual network'),
    ):
        with pytest.raises(SeMmError, match=message):
            convert(tmp_path / source, tmp_path / target, 'timm')
