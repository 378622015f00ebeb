"""The ground truth on a sheet is where it was annotated, whatever the pipeline does to the image."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmdet.visualization import DetLocalVisualizer
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from support import detection_sets as sets

from se_mm.engine.hooks.pictures import SheetHook

LOAD = dict(type='LoadImageFromFile')
ANNOTATIONS = dict(type='LoadAnnotations', with_bbox=True)
RESIZE = dict(type='Resize', scale=(333, 200), keep_ratio=True)
FLIP = dict(type='RandomFlip', prob=1.0, direction='horizontal')
PACK = dict(type='PackDetInputs')
PIPELINES = {
    'annotations, resize': [LOAD, ANNOTATIONS, RESIZE, PACK],
    'resize, annotations': [LOAD, RESIZE, ANNOTATIONS, PACK],
    'no annotations': [LOAD, RESIZE, PACK],
    'flip': [LOAD, ANNOTATIONS, RESIZE, FLIP, PACK],
    'flip of test-time augmentation': [LOAD, dict(type='TestTimeAug', transforms=[[RESIZE], [FLIP], [PACK]])],
}


def draw(dataset: dict, path: Path, monkeypatch) -> list[np.ndarray]:
    """The sheet of a data set whose predictions are a box at the corner; returns the boxes that were drawn."""
    init_default_scope('mmdet')
    dataset = DATASETS.build(dataset)
    drawn = []
    draw_instances = DetLocalVisualizer._draw_instances

    def record(self, image, instances, classes, palette):
        drawn.append((image.shape, instances.bboxes.numpy().copy(), [classes[label] for label in instances.labels]))
        return draw_instances(self, image, instances, classes, palette)

    monkeypatch.setattr(DetLocalVisualizer, '_draw_instances', record)
    hook = SheetHook(str(path))
    pictures = []
    visualizer = SimpleNamespace(add_image=lambda name, image, step: pictures.append(name))
    logger = MMLogger.get_instance('sheet')
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset), visualizer=visualizer, logger=logger)
    for i in range(len(dataset)):
        sample = dataset[i]['data_samples']
        sample = sample[0] if isinstance(sample, list) else sample  # mmdet merges the views into the first
        found = dict(bboxes=torch.tensor([[0.0, 0, 8, 8]]), labels=torch.tensor([0]), scores=torch.tensor([0.9]))
        sample.pred_instances = InstanceData(**found)
        hook.after_test_iter(runner, i, None, [sample])
    hook.after_test_epoch(runner)
    assert pictures == ['sheet.png']
    return drawn


@pytest.mark.parametrize(
    ('kind', 'order'), [*((sets.coco, order) for order in PIPELINES), (sets.voc, 'annotations, resize')]
)
def test_ground_truth_is_where_it_was_annotated(kind, order, tmp_path, monkeypatch):
    drawn = draw(kind(tmp_path / 'data', PIPELINES[order]), tmp_path / 'sheet.png', monkeypatch)
    truths, predictions = drawn[::2], drawn[1::2]
    assert len(truths) == len(predictions) == len(sets.SIZES)
    for (width, height), boxes, truth, prediction in zip(sets.SIZES, sets.BOXES, truths, predictions, strict=True):
        shape, found, names = truth
        scale = np.tile((width / shape[1], height / shape[0]), 2)
        np.testing.assert_allclose(found * scale, boxes, atol=1e-3)
        assert names == list(sets.CLASSES)
        np.testing.assert_allclose(prediction[1] * scale, [[0, 0, 8, 8]], atol=1e-3)


def test_masks_are_drawn_where_they_were_annotated(tmp_path, monkeypatch):
    masks = []
    monkeypatch.setattr(DetLocalVisualizer, 'draw_binary_masks', lambda self, found, **_: masks.append(found))
    draw(sets.coco(tmp_path / 'data', PIPELINES['annotations, resize'], True), tmp_path / 'sheet.png', monkeypatch)
    assert len(masks) == len(sets.SIZES)
    for found, (width, height), boxes in zip(masks, sets.SIZES, sets.BOXES, strict=True):
        for mask, box in zip(found, boxes, strict=True):
            ys, xs = np.nonzero(mask)
            scale = np.tile((width / mask.shape[1], height / mask.shape[0]), 2)
            np.testing.assert_allclose(np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) * scale, box, atol=1)


@pytest.mark.parametrize('count', [1, 2, 5, 9])
def test_a_sheet_has_no_gap(count):
    from se_mm.visualization.sheets import CAPTION, MARGIN, compose

    aspects = [(0.5, 1.0, 1.7, 3.1)[i % 4] for i in range(count)]
    drawn = []

    def picture(i: int, height: int) -> np.ndarray:
        drawn.append(height)
        return np.zeros((height, max(round(height * aspects[i]), 1), 3), np.uint8)

    sheet = compose(aspects, [''] * count, picture)
    white = (sheet == 255).all(2)
    assert len(drawn) == count
    black = (~white).sum()
    rows = np.flatnonzero(~white.all(1))
    assert sheet.shape[1] == 1600
    # All that is white is the captions, and margins of a few pixels between.
    margins = sheet.shape[0] * MARGIN * 5 + 1600 * (sheet.shape[0] - len(rows))
    assert black >= sheet.shape[0] * 1600 - margins
    assert sheet.shape[0] - len(rows) == (max(count // 2, 1)) * CAPTION + MARGIN
