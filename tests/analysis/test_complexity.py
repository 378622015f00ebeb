"""Multiply-adds and parameters against timm's networks, the paper's figures and closed forms."""

from __future__ import annotations

import functools

import pytest
import timm
import torch
from mmengine.config import Config
from support.commands import output, tool
from torch.utils.flop_counter import FlopCounterMode

from se_mm import SEResNet
from se_mm.analysis.complexity import complexity_of, count_macs, parameters_of
from se_mm.analysis.paper_networks import IMAGENET, count
from se_mm.config.load import load_config
from se_mm.errors import USER_ERROR

#: The same networks in timm, plain and with SE; ``None``: it has no plain one in Caffe's style.
TIMM = {
    'ResNet-50': (None, 'legacy_seresnet50'),
    'ResNet-101': (None, 'legacy_seresnet101'),
    'ResNet-152': (None, 'legacy_seresnet152'),
    'ResNet-50, stride in the 3x3 convolution': ('resnet50', 'seresnet50'),
    'ResNeXt-50 32x4d': ('resnext50_32x4d', 'legacy_seresnext50_32x4d'),
    'ResNeXt-101 32x4d': ('resnext101_32x4d', 'legacy_seresnext101_32x4d'),
}
PUBLISHED = [network for network in IMAGENET if any(network.published)]


@functools.cache
def counted(name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    return count(next(network for network in IMAGENET if network.name == name))


@pytest.mark.parametrize('name', TIMM)
def test_networks_cost_what_timms_cost(name):
    for theirs, ours in zip(TIMM[name], counted(name), strict=True):
        if theirs is None:
            continue
        with torch.device('meta'):
            model, image = timm.create_model(theirs).eval(), torch.empty(1, 3, 224, 224)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(image)
        assert ours == (sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)


@pytest.mark.parametrize('network', PUBLISHED, ids=[network.name for network in PUBLISHED])
def test_the_papers_figures_are_met_or_explained(network):
    for (parameters, macs), giga, millions in zip(
        counted(network.name), network.published, network.millions, strict=True
    ):
        if network.why:
            continue
        if giga:
            assert macs / 1e9 == pytest.approx(giga, rel=0.005)
        if millions:
            assert parameters / 1e6 == pytest.approx(millions, abs=0.051)


def test_se_adds_two_small_matrices_and_nothing_else():
    """In inference the gate is computed before the last convolution, by more operations than its definition has."""
    (_, plain), (_, se) = counted('ResNet-50')
    matrices = {256: 3, 512: 4, 1024: 6, 2048: 3}  # channels and units of the stages, equation 5 of the paper
    assert se - plain == sum(units * 2 * channels * channels // 16 for channels, units in matrices.items())
    with torch.device('meta'):
        backbone, image = SEResNet(50), torch.empty(1, 3, 64, 64)
    backbone.train()
    count_macs(backbone, lambda: backbone(image))
    assert backbone.training
    assert not any(module._forward_hooks for module in backbone.modules())


def test_a_two_stage_detector_is_counted_part_by_part():
    found = complexity_of(load_config('se_mm::faster_rcnn_r50_coco.py', data_root=''), (256, 320))
    parts = {part.name: part for part in found.parts}
    positions = sum((256 // stride) * (320 // stride) for stride in (4, 8, 16, 32)) + 4 * 5
    assert parts['rpn_head'].macs == positions * (256 * 256 * 9 + 256 * 3 * 5)
    per_box = 256 * 49 * 1024 + 1024 * 1024 + 1024 * (81 + 80 * 4)
    assert parts['bbox_head (1000 boxes)'].macs == 1000 * per_box
    assert found.whole.macs == sum(part.macs for part in found.parts)
    assert found.whole.parameters == sum(part.parameters for part in found.parts)
    assert found.notes == []


def test_a_one_stage_detector_is_counted_whole():
    found = complexity_of(load_config('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', data_root=''), (256, 320))
    positions = sum((256 // stride) * (320 // stride) for stride in (8, 16, 32)) + 4 * 5 + 2 * 3
    head = positions * (8 * 256 * 256 * 9 + 256 * 9 * 9 * (80 + 4))
    assert found.whole.macs > found.parts[0].macs + head
    assert [part.name for part in found.parts] == ['backbone', 'the rest']


def test_a_stem_that_reads_four_grids_of_pixels_takes_pictures_of_three_channels():
    """YOLOX-s: 9.0 M and 26.8 GFLOPs at 640 x 640, in the table of arXiv 2107.08430."""
    found = complexity_of(load_config('mmdet::yolox/yolox_s_8xb8-300e_coco.py', data_root=''), (640, 640))
    assert found.whole.parameters == pytest.approx(9.0e6, abs=0.05e6)
    assert 2 * found.whole.macs == pytest.approx(26.8e9, rel=0.01)


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py', 'not counted: rpn_head'),
        ('mmdet::dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py', 'the 13 deformable convolutions count as nothing'),
    ],
)
def test_what_is_not_counted_is_said(name, said):
    found = complexity_of(load_config(name, data_root=''), (256, 320))
    assert any(line.startswith(said) for line in found.notes)


@pytest.mark.parametrize(
    ('step', 'size'),
    [
        (dict(type='CenterCrop', crop_size=(96, 160)), (160, 96)),
        (dict(type='Resize', scale=(96, 160)), (160, 96)),
        (dict(type='ResizeEdge', scale=96), None),
    ],
)
def test_a_classifiers_size_is_that_of_its_test(step, size):
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=dict(
                type='ImageClassifier',
                backbone=dict(type='ResNet', depth=18),
                neck=dict(type='GlobalAveragePooling'),
                head=dict(type='LinearClsHead', num_classes=10, in_channels=512),
            ),
            test_dataloader=dict(dataset=dict(pipeline=[step])),
        )
    )
    found = complexity_of(cfg)
    assert found.size == (size or (224, 224))
    assert any('224x224 is a guess' in line for line in found.notes) == (size is None)
    backbone = found.parts[0]
    assert found.whole.macs == backbone.macs + 512 * 10
    assert found.whole.parameters == backbone.parameters + 512 * 10 + 10


def test_parameters_of_counts_each_once():
    layer = torch.nn.Linear(3, 2)
    assert parameters_of(torch.nn.Sequential(layer, layer)) == 8


def test_the_tool_prints_and_writes(tmp_path):
    said = output(tool('complexity', 'configs/cifar/se_preresnet110_cifar10.py', '--size', 64, 64))
    assert '| 64x64 |' in said
    assert '1,744,760' in said
    assert 'Pooling, norms, activations' in said
    output(tool('complexity', 'configs/cifar/wrn16_8_cifar10.py', '-o', tmp_path / 'out.md'))
    assert '| 10,961,370 | 1.5481 |' in (tmp_path / 'out.md').read_text()


def test_a_config_that_cannot_be_counted_is_named_and_the_others_are_printed():
    blind = 'mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py'
    done = tool('complexity', blind, 'configs/cifar/se_preresnet110_cifar10.py')
    assert done.returncode == USER_ERROR
    assert f'{blind}: SoftTeacher has no backbone to count' in done.stderr
    assert '1,744,760' in done.stdout


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('configs/none.py',), 'none.py'),
        (('--size', 64, 64), '--size needs a config'),
        (('configs/cifar/wrn16_8_cifar10.py', '--size', 0, 8), '--size is 0 8'),
        (('configs/cifar/wrn16_8_cifar10.py', '-o', '/none/out.md'), '-o /none/out.md cannot be written'),
    ],
)
def test_a_mistake_is_one_message(args, message):
    done = tool('complexity', *args)
    assert done.returncode == USER_ERROR, done.stderr[-2000:]
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
