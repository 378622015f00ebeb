"""The ImageNet recipes: the paper's, published parameter counts, twins that differ by SE alone."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from support.helpers import REPOSITORY

from se_mm.config.load import load_config
from se_mm.swap.building import shapes_only

CONFIGS = REPOSITORY / 'configs'
#: Parameters of the classifier: the authors' release; timm and torchvision for the plain networks.
PARAMETERS = {
    'resnet50_imagenet': 25_557_032,
    'resnet101_imagenet': 44_549_160,
    'resnet152_imagenet': 60_192_808,
    'resnext50_32x4d_imagenet': 25_028_904,
    'resnext101_32x4d_imagenet': 44_177_704,
    'se_resnet50_imagenet': 28_088_024,
    'se_resnet101_imagenet': 49_326_872,
    'se_resnet152_imagenet': 66_821_848,
    'se_resnext50_32x4d_imagenet': 27_559_896,
    'se_resnext101_32x4d_imagenet': 48_955_416,
    'resnet50_imagenet_release': 25_557_032,
    'se_resnet50_imagenet_release': 28_088_024,
    'resnet50_imagenet_rsb_a2': 25_557_032,
    'se_resnet50_imagenet_rsb_a2': 28_088_024,
    'resnet50_imagenet_rsb_a3': 25_557_032,
    'se_resnet50_imagenet_rsb_a3': 28_088_024,
    'senet154_imagenet': 115_088_984,
    'senet154_imagenet_320': 115_088_984,
    # pytorchcv's and timm's counts, and with timm's SE at the paper's places.
    'vgg16_bn_imagenet': 138_365_992,
    'se_vgg16_bn_imagenet': 138_596_784,
    'bninception_imagenet': 11_285_224,
    'se_bninception_imagenet': 11_931_622,
    'inception_v3_imagenet': 23_834_568,
    'se_inception_v3_imagenet': 25_496_188,
    'inception_resnet_v2_imagenet': 55_843_464,
    'se_inception_resnet_v2_imagenet': 64_387_444,
    'mobilenet_v1_imagenet': 4_231_976,
    'se_mobilenet_v1_imagenet': 4_718_044,
    'shufflenet_v1_imagenet': 1_865_728,
    'se_shufflenet_v1_imagenet': 2_484_533,
}


def config(name: str) -> Config:
    return load_config(str(CONFIGS / f'{name}.py'))


@pytest.mark.parametrize('name', PARAMETERS)
def test_parameters(name):
    init_default_scope('mmpretrain')
    with shapes_only():
        model = MODELS.build(config(name).model)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


def test_the_norms_of_the_whole_network_learn():
    for name in ('se_resnet50_imagenet', 'senet154_imagenet', 'se_resnet50_imagenet_rsb_a3'):
        init_default_scope('mmpretrain')
        with shapes_only():
            model = MODELS.build(config(name).model)
        model.train()
        norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        assert all(norm.training and norm.weight.requires_grad for norm in norms)


def test_the_page_lists_every_recipe():
    page = (REPOSITORY / 'docs/imagenet.md').read_text()
    assert not [name for name in PARAMETERS if f'`{name}`' not in page]
    metafile = (CONFIGS / 'metafile.yml').read_text()
    assert not [name for name in PARAMETERS if f'Name: {name},' not in metafile and name.startswith('se')]
