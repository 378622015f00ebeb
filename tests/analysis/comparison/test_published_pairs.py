"""Which published pair stands beside a comparison."""

from __future__ import annotations

import pytest
from support.helpers import REPOSITORY

from se_mm.analysis.comparison.published import published_pairs
from se_mm.config.load import load_config

COCO, PLACES = 'faster_rcnn_{}r50_coco', '{}resnet152_places365_challenge'


def gains(configs: str, metric: str, plain: dict | None = None, twin: dict | None = None) -> list[float]:
    """The published gains for a pair of our configs, with changes to either by dotted keys."""
    pair = []
    for kind, changes in (('', plain), ('se_', twin)):
        cfg = load_config(str(REPOSITORY / f'configs/{configs.format(kind)}.py'))
        cfg.merge_from_dict(changes or {})
        pair.append(cfg)
    return [pair.gain for pair in published_pairs(*pair, metric)]


@pytest.mark.parametrize(
    ('configs', 'metric', 'found'),
    [
        (COCO, 'coco/bbox_mAP', [2.4, 1.3]),  # the paper's table 7, ECA-Net's table 5
        ('faster_rcnn_{}r101_coco_2x', 'coco/bbox_mAP', [2.0, 0.9]),
        (COCO, 'coco/bbox_mAP_50', []),
        (PLACES, 'error/top1', [0.78]),
        (PLACES, 'accuracy/top1', [0.78]),
        ('{}resnet152_places365', 'error/top1', []),  # another part of the data
        ('faster_rcnn_{}x101_32x4d_coco', 'coco/bbox_mAP', []),
        ('demo/faster_rcnn_{}r18_bccd', 'coco/bbox_mAP', []),
    ],
)
def test_backbone_detector_data_and_metric_must_be_those_of_the_source(configs, metric, found):
    assert gains(configs, metric) == found


@pytest.mark.parametrize(
    ('both', 'twin', 'found'),
    [
        ({}, {'model.backbone.attention': dict(type='se_mm.ECALayer')}, [1.6]),
        ({}, {'model.backbone': dict(type='se_mm.SETwin', host='mmdet.ResNet')}, [2.4, 1.3]),
        ({}, {'model.backbone.attention': dict(type='se_mm.CBAM')}, []),
        ({}, {'model.backbone.attention_stages': []}, []),
        ({}, {'model.backbone.dcn': dict(type='DCN')}, []),
        ({'model.type': 'MaskRCNN'}, {}, [1.5]),
        ({'train_dataloader.dataset.indices': 1000}, {}, []),
        ({'train_dataloader.dataset.ann_file': 'annotations/mini_instances_train2017.json'}, {}, []),
        ({'model.roi_head.bbox_head.num_classes': 2}, {}, []),
    ],
)
def test_another_layer_network_or_part_of_the_data_is_another_pair(both, twin, found):
    assert gains(COCO, 'coco/bbox_mAP', both, both | twin) == found


def test_two_plain_networks_have_no_pair():
    cfg = load_config(str(REPOSITORY / 'configs/faster_rcnn_r50_coco.py'))
    assert published_pairs(cfg, cfg, 'coco/bbox_mAP') == []
