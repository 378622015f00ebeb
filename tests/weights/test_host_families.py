"""Plain weights of torchvision, timm, mmpretrain and Cadene load completely into the hosts; shapes alone, on meta."""

from __future__ import annotations

import mmpretrain.models as mmpretrain
import pretrainedmodels
import pytest
import timm
import torch
import torchvision

from se_mm import SeMmError, SETwin
from se_mm.weights.loading import adapt

VGG_DEPTHS = (11, 13, 16, 19)


def adapted(network, weights, prefix=''):
    state = {f'{prefix}{key}': value for key, value in weights.items()}
    adapt(network, state, prefix, {'source': 'the test'})
    return {key[len(prefix) :]: value for key, value in state.items()}


@pytest.mark.parametrize('depth', VGG_DEPTHS)
@pytest.mark.parametrize('norms', [False, True])
def test_torchvisions_vggs(depth, norms):
    with torch.device('meta'):
        theirs = getattr(torchvision.models, f'vgg{depth}{"_bn" if norms else ""}')().state_dict()
        norm_cfg = dict(type='BN') if norms else None
        host = SETwin('mmpretrain.VGG', depth=depth, norm_cfg=norm_cfg, num_classes=1000, attention_stages=())
    state = adapted(host, theirs)
    assert list(state) == list(host.state_dict())
    assert all(ours is given for ours, given in zip(state.values(), theirs.values(), strict=True))  # in their order


@pytest.mark.parametrize('other', [11, 13, 19])
def test_a_vgg_of_another_depth_is_refused(other):
    with torch.device('meta'):
        theirs = getattr(torchvision.models, f'vgg{other}_bn')().state_dict()
        host = SETwin('mmpretrain.VGG', depth=16, norm_cfg=dict(type='BN'))
    with pytest.raises(SeMmError, match=f'VGG-{other} with norms of torchvision'):
        adapted(host, theirs)


def test_a_classifier_for_other_classes_keeps_its_initial_values(monkeypatch):
    said = []
    monkeypatch.setattr('se_mm.weights.loading.print_log', lambda line, **_: said.append(line))
    with torch.device('meta'):
        theirs = torchvision.models.vgg11_bn().state_dict()
        host = SETwin('mmpretrain.VGG', depth=11, norm_cfg=dict(type='BN'), num_classes=10)
    state = adapted(host, theirs)
    assert state['classifier.6.weight'].shape == (10, 4096)
    assert state['features.0.conv.weight'] is theirs['features.0.weight']
    assert 'keep their initial values: classifier.0, classifier.3, classifier.6' in said[0]


WHOLE = dict(out_indices=(4,), attention_stages=())
#: A host without gates, whose names are the published ones, and a publication of its weights.
NETWORKS = {
    'timm Inception-v3': (
        lambda: SETwin('timm.inception_v3', **WHOLE),
        lambda: timm.create_model('inception_v3'),
    ),
    'torchvision Inception-v3': (
        lambda: SETwin('timm.inception_v3', **WHOLE),
        lambda: torchvision.models.inception_v3(init_weights=False),
    ),
    'mmpretrain Inception-v3': (
        lambda: SETwin('mmpretrain.InceptionV3', attention_stages=()),
        lambda: torchvision.models.inception_v3(init_weights=False),
    ),
    'timm Inception-ResNet-v2': (
        lambda: SETwin('timm.inception_resnet_v2', **WHOLE),
        lambda: timm.create_model('inception_resnet_v2'),
    ),
    'Cadene Inception-ResNet-v2': (
        lambda: SETwin('timm.inception_resnet_v2', **WHOLE),
        lambda: pretrainedmodels.inceptionresnetv2(pretrained=None),
    ),
    'Cadene BN-Inception': (
        lambda: SETwin('se_mm.BNInception', conv_bias=True, **WHOLE),
        lambda: pretrainedmodels.bninception(pretrained=None),
    ),
    'timm MobileNet 1.25': (
        lambda: SETwin('timm.mobilenetv1_125', **WHOLE),
        lambda: timm.create_model('mobilenetv1_125'),
    ),
    'mmpretrain ShuffleNet': (
        lambda: SETwin('mmpretrain.ShuffleNetV1', groups=3, attention_stages=()),
        lambda: mmpretrain.ShuffleNetV1(groups=3),
    ),
}


@pytest.mark.parametrize('name', NETWORKS)
def test_every_tensor_is_taken_under_its_name(name):
    host, published = NETWORKS[name]
    with torch.device('meta'):
        network, theirs = host(), published().state_dict()
    for prefix in ('', 'backbone.'):
        state = adapted(network, theirs, prefix)
        assert set(state) == set(network.state_dict())
        assert all(value is theirs[key] for key, value in state.items())


@pytest.mark.parametrize('name', ['timm.inception_v3', 'timm.inception_resnet_v2', 'timm.mobilenetv1_100'])
@pytest.mark.parametrize('last', range(4))
def test_a_shorter_network_leaves_what_it_has_no_place_for(name, last):
    with torch.device('meta'):
        network = SETwin(name, out_indices=(last,))
        theirs = timm.create_model(name.removeprefix('timm.')).state_dict()
    assert set(adapted(network, theirs)) == set(network.state_dict())


def test_a_surplus_tensor_in_a_module_is_refused():
    with torch.device('meta'):
        inception, theirs = SETwin('timm.inception_v3'), timm.create_model('inception_v3').state_dict()
        theirs['Mixed_6a.branch5x5.conv.weight'] = torch.empty(1)
        without_biases, cadenes = SETwin('se_mm.BNInception'), pretrainedmodels.bninception(pretrained=None)
    with pytest.raises(SeMmError, match='no place in the backbone: Mixed_6a.branch5x5'):
        adapted(inception, theirs)
    with pytest.raises(SeMmError, match='no place in the backbone: conv1_7x7_s2.bias'):
        adapted(without_biases, cadenes.state_dict())
