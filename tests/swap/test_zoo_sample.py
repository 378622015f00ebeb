"""A sample of ``make zoo``: one config of each family of hosts, one of each family of models."""

from __future__ import annotations

import pytest
from support.zoo import builds, identity
from support.zoo.configs import Shipped, folder_of, hosts, read

BUILDS = [
    'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py',
    'mmdet::gcnet/mask-rcnn_x101-32x4d-syncbn-gcb-r4-c3-c5_fpn_1x_coco.py',
    'mmdet::gn+ws/mask-rcnn_x50-32x4d_fpn_gn-ws-all_2x_coco.py',
    'mmdet::dcnv2/faster-rcnn_r50-mdconv-group4-c3-c5_fpn_1x_coco.py',
    'mmdet::detectors/detectors_cascade-rcnn_r50_1x_coco.py',
    'mmdet::tridentnet/tridentnet_r50-caffe_1x_coco.py',
    'mmdet::resnest/faster-rcnn_s50_fpn_syncbn-backbone+head_ms-range-1x_coco.py',
    'mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py',
    'mmpretrain::resnet/resnetv1d50_8xb32_in1k.py',
    'mmpretrain::res2net/res2net50-w14-s8_8xb32_in1k.py',
    'mmpretrain::regnet/regnetx-400mf_8xb128_in1k.py',
    'mmpretrain::resnet/resnet18_8xb16_cifar10.py',
    'mmpretrain::vgg/vgg16bn_8xb32_in1k.py',
    'mmpretrain::inception_v3/inception-v3_8xb32_in1k.py',
    'mmpretrain::shufflenet_v1/shufflenet-v1-1x_16xb64_in1k.py',
]
RUNS = [
    'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
    'mmdet::detr/detr_r18_8xb2-500e_coco.py',
    pytest.param('mmdet::tridentnet/tridentnet_r50-caffe_1x_coco.py', marks=pytest.mark.soak),
    'mmpretrain::resnet/resnet18_8xb16_cifar10.py',
    pytest.param('mmpretrain::mocov2/mocov2_resnet50_8xb32-coslr-200e_in1k.py', marks=pytest.mark.soak),
    'mmpretrain::inception_v3/inception-v3_8xb32_in1k.py',
    'mmpretrain::shufflenet_v1/shufflenet-v1-1x_16xb64_in1k.py',
]


def found(name: str) -> Shipped:
    package, _, path = name.partition('::')
    file = folder_of(package) / path
    if not file.is_file():
        pytest.skip(f'the installed {package} ships no {path}')
    return Shipped(package, file)


@pytest.mark.parametrize('name', BUILDS)
def test_a_twin_has_the_right_parameters_and_shapes_and_reads_back(name, tmp_path):
    config = found(name)
    cfg = read(config)
    builds.check(config, cfg, hosts(cfg), tmp_path)


@pytest.mark.parametrize('name', RUNS)
def test_a_twin_gives_the_plain_losses_and_predictions_and_learns(name):
    config = found(name)
    compared = identity.check(config, read(config))
    assert compared.losses
    assert compared.learning
