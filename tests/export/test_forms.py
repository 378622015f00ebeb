"""The parts of an exported graph, before it is exported: against mmdet's and mmpretrain's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms
from mmdet.datasets.transforms import Resize
from mmdet.models import DetDataPreprocessor
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS
from mmpretrain.models import ClsDataPreprocessor
from support.helpers import randomize
from support.small_models import DETECTORS, built, description, detector_config, pictures

from se_mm import SeMmError
from se_mm.export.candidates import Boxes, best_boxes, nms_settings
from se_mm.export.detection_operators import NONE
from se_mm.export.exported_model import ExportedModel
from se_mm.export.forms import export_form
from se_mm.export.parity import LIMITS, Comparison, predicted
from se_mm.export.pictures import describe_resizing, prepare
from se_mm.export.preprocessing import Preprocessing
from se_mm.export.regions import RegionExtractor


class _NotYetAFile:
    def __init__(self, form):
        self.form, self.description = form, description(form)

    def __call__(self, images):
        outputs = (output.numpy() for output in self.form(torch.from_numpy(images)))
        return dict(zip(self.form.names, outputs, strict=True))


@pytest.mark.parametrize('name', DETECTORS)
def test_a_detector_finds_what_mmdets_own_postprocessing_finds(name):
    cfg = detector_config(name)
    if name == 'Cascade R-CNN':
        cfg.model.roi_head.bbox_head[1].reg_class_agnostic = False
    model = randomize(built(cfg), seed=1)  # with seed 0 a mask of few pixels has one at the threshold
    form = export_form(model)
    exported = ExportedModel(_NotYetAFile(form))
    comparison = Comparison(LIMITS['fp32'], form.thresholds['score'], form.thresholds['max_per_image'])
    for height, width in ((150, 200), (129, 250)):
        for key, image in pictures(2, height, width).items():
            comparison.add(key, image, *(predicted(network, 'detection', image) for network in (model, exported)))
    assert not comparison.disagreements
    assert comparison.boxes > 100
    assert comparison.masks == (comparison.boxes if name == 'Mask R-CNN' else 0)


@pytest.mark.parametrize('name', ['Mask R-CNN', 'FCOS'])
def test_in_half_precision_the_network_is_half_and_the_boxes_are_not(name):
    form = export_form(built(detector_config(name)), half=True)
    assert all(parameter.dtype == torch.float16 for parameter in form.parameters())
    outputs = form(torch.from_numpy(pictures(1)['0.png'][None]))
    assert [output.dtype for output in outputs[:3]] == [torch.float32, torch.float32, torch.int64]
    assert all(torch.isfinite(output).all() for output in outputs)
    assert (outputs[1] > 0).sum() > 10


def test_a_head_with_a_postprocessing_of_its_own_is_refused():
    cfg = detector_config('ATSS')
    cfg.model.bbox_head = dict(
        type='GFLHead', num_classes=3, in_channels=32, feat_channels=32, stacked_convs=1, reg_max=8,
        anchor_generator=cfg.model.bbox_head.anchor_generator,
    )  # fmt: skip
    with pytest.raises(SeMmError, match=r'bbox_head is a GFLHead with _predict_by_feat_single of its own.*known are'):
        export_form(built(cfg))
    with pytest.raises(SeMmError, match="expected type='nms'"):
        nms_settings(dict(type='soft_nms', iou_threshold=0.5), 'model.bbox_head')


@pytest.mark.parametrize('agnostic', [False, True])
def test_suppression_is_mmcvs(agnostic):
    torch.manual_seed(0)
    corners = 100 * torch.rand(2, 300, 2)
    boxes = torch.cat([corners, corners + 40 * torch.rand(2, 300, 2)], -1)
    scores, labels = torch.rand(2, 300), torch.randint(0, 3, (2, 300))
    found = best_boxes(Boxes(boxes, scores, labels), dict(iou_threshold=0.4, class_agnostic=agnostic), 0.25, 20)
    for i in range(2):
        kept = scores[i] > 0.25
        rows, index = batched_nms(
            boxes[i, kept], scores[i, kept], labels[i, kept], dict(type='nms', iou_threshold=0.4), agnostic
        )
        torch.testing.assert_close(found.boxes[i], rows[:20, :4])
        torch.testing.assert_close(found.scores[i], rows[:20, 4])
        assert torch.equal(found.labels[i], labels[i, kept][index[:20]])


def test_fewer_boxes_than_places_leave_places_without_a_score():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]]])
    found = Boxes(boxes, torch.tensor([[0.9, 0.8, 0.01]]), torch.zeros(1, 3, dtype=torch.long))
    best = best_boxes(found, dict(iou_threshold=0.5, class_agnostic=False), 0.05, 5)
    assert best.scores[0].tolist() == pytest.approx([0.9] + 4 * [NONE])


@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_regions_are_pooled_as_by_mmdets_extractor(sampling_ratio):
    torch.manual_seed(0)
    layer = dict(type='RoIAlign', output_size=7, sampling_ratio=sampling_ratio)
    extractor = SingleRoIExtractor(layer, out_channels=4, featmap_strides=[4, 8, 16, 32])
    features = [torch.randn(2, 4, 256 // stride, 320 // stride) for stride in (4, 8, 16, 32)]
    corners = 200 * torch.rand(2, 40, 2)
    boxes = torch.cat([corners, corners + torch.tensor([8.0, 60, 150, 290]).repeat(10).view(1, 40, 1)], -1)
    image = torch.arange(2.0).view(2, 1, 1).expand(2, 40, 1)
    expected = extractor(features, torch.cat([image, boxes], -1).view(-1, 5))
    torch.testing.assert_close(RegionExtractor(extractor, 'extractor')(features, boxes), expected)


NORM = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


@pytest.mark.parametrize(
    'theirs',
    [
        DetDataPreprocessor(**NORM, bgr_to_rgb=True, pad_size_divisor=32),
        DetDataPreprocessor(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], pad_size_divisor=32, pad_value=3),
        ClsDataPreprocessor(**NORM, to_rgb=True),
    ],
)
def test_pixels_are_those_of_the_models_preprocessor(theirs):
    image = torch.from_numpy(pictures(2, 70, 90)['1.png'])[None]
    pixels = image.permute(0, 3, 1, 2).contiguous()
    expected = theirs({'inputs': pixels, 'data_samples': None})['inputs']
    torch.testing.assert_close(Preprocessing(theirs)(image), expected)


EDGE = dict(type='ResizeEdge', scale=73, edge='short')


@pytest.mark.parametrize(
    ('scope', 'pipeline'),
    [
        ('mmdet', [dict(type='Resize', scale=(333, 200), keep_ratio=True)]),
        ('mmdet', [dict(type=Resize, scale=(96, 64), keep_ratio=False)]),  # a class, as in mmengine's new configs
        ('mmpretrain', [EDGE, dict(type='CenterCrop', crop_size=64)]),
        ('mmpretrain', [dict(EDGE, edge='long', backend='pillow', interpolation='bicubic')]),
        ('mmpretrain', [dict(type='Resize', scale=(80, 80)), dict(type='CenterCrop', crop_size=(77, 50))]),
    ],
)
@pytest.mark.parametrize('size', [(120, 170), (171, 93), (100, 100)])
def test_a_picture_becomes_what_the_test_pipeline_makes_of_it(scope, pipeline, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    with TRANSFORMS.switch_scope_and_registry(scope) as registry:
        transforms = Compose([registry.build(transform) for transform in pipeline])
    expected = transforms(dict(img=image, img_shape=size, ori_shape=size))['img']
    assert np.array_equal(prepare(image, describe_resizing(pipeline)), expected)


def test_a_pipeline_that_cannot_be_described_is_refused():
    with pytest.raises(SeMmError, match=r'pipeline has Pad, which an exported file cannot describe'):
        describe_resizing([dict(type='LoadImageFromFile'), dict(type='mmdet.Pad', size_divisor=32)])
