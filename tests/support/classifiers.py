"""Classifiers with random weights, and batches for them."""

from __future__ import annotations

import torch
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from .helpers import randomize

COUNT, CLASSES = 6, 3


def classifier(depth: int = 50, **backbone) -> nn.Module:
    config = dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='se_mm.SEResNet', depth=depth, **backbone),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(
            type='mmpretrain.LinearClsHead',
            num_classes=CLASSES,
            in_channels=backbone.get('base_channels', 64) * (32 if depth > 34 else 8),
        ),
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', mean=[120] * 3, std=[60] * 3),
    )
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        return randomize(registry.build(config)).eval()


def batches(count: int = COUNT) -> list[dict]:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (count, 3, 64, 48), generator=generator, dtype=torch.uint8)
    return [dict(inputs=list(part), data_samples=[DataSample() for _ in part]) for part in images.split(COUNT // 3)]
