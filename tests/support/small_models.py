"""Detectors and classifiers of a few thousand parameters, with random weights, as mmdet's own configs name them."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from se_mm.config.load import load_config
from se_mm.config.tree import nodes
from se_mm.export.description import Description
from support.helpers import randomize

DETECTORS = {
    'Faster R-CNN': 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    'Mask R-CNN': 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'Cascade R-CNN': 'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
    'RetinaNet': 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    'FCOS': 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    'ATSS': 'mmdet::atss/atss_r50_fpn_1x_coco.py',
}
#: Widths and classes of the configs, and those of the small models.
_NARROW = {
    'in_channels': {256: 32, 1024: 64},
    'feat_channels': {256: 32},
    'out_channels': {256: 32},
    'conv_out_channels': {256: 32},
    'fc_out_channels': {1024: 64},
    'num_classes': {80: 3},
    'stacked_convs': {4: 1},
    'num_convs': {4: 1},
}


def detector_config(name: str, backbone: str = 'se_mm.SEResNet') -> Config:
    """One of ``DETECTORS`` with a ResNet-18 of 16 channels, or another backbone of that shape."""
    cfg = load_config(DETECTORS[name])
    model = cfg.model
    model.backbone = dict(
        type=backbone, depth=18, base_channels=16, stem_channels=16, num_stages=4, out_indices=(0, 1, 2, 3)
    )
    model.neck.in_channels = [16, 32, 64, 128]
    for keys, node in nodes(model):
        if 'backbone' in keys:
            continue
        for key, sizes in _NARROW.items():
            if isinstance(node.get(key), int):
                node[key] = sizes.get(node[key], node[key])
    return cfg


def built(cfg: Config, scope: str = 'mmdet') -> nn.Module:
    """The model of a config, with random weights."""
    with MODELS.switch_scope_and_registry(scope) as registry:
        return randomize(registry.build(cfg.model)).eval()


def pictures(count: int = 2, height: int = 150, width: int = 200) -> dict[str, np.ndarray]:
    """Smooth noise, (height, width, 3), uint8."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, height // 10, width // 10, 3), np.uint8)
    return {f'{i}.png': picture.repeat(10, 0).repeat(10, 1) for i, picture in enumerate(coarse)}


def classifier(backbone: dict) -> nn.Module:
    """An mmpretrain classifier of 5 classes on a backbone whose last map has 128 channels."""
    model = dict(
        type='ImageClassifier',
        data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True),
        backbone=dict(base_channels=16, stem_channels=16, depth=18, out_indices=(3,)) | backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=5, in_channels=128),
    )
    return built(Config(dict(model=model)), 'mmpretrain')


def description(form: nn.Module, **changes: Any) -> Description:
    """What an exported file of a form says about itself."""
    entries = dict(
        task=form.task,
        classes=['a', 'b', 'c'],
        resizing=[{'resize': [200, 200], 'keep_ratio': True}],
        input_size=[None, None, None],
        least_side=form.least_side,
        mean=[],
        std=[],
        to_rgb=True,
        outputs=list(form.names),
        thresholds=form.thresholds,
        precision='fp32',
        config='',
        config_sha256='',
        checkpoint_sha256='',
        se_mm_version='',
    )
    return Description(**entries | changes)
