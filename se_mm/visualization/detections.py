"""Detections beside the ground truth, drawn by mmdet's visualizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mmcv
import numpy as np
import torch
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from ..utils.palette import palette


def ground_truth(info: Mapping[str, Any], shape: tuple[int, int]) -> InstanceData:
    """The annotated instances of an image, in the pixels of its file, not of a pipeline that may resize or flip it.

    Args:
        info: what ``dataset.get_data_info(index)`` gives.
        shape: height and width of the image.

    Returns:
        ``bboxes`` (N, 4) as x1, y1, x2, y2, ``labels`` (N,) and, where there are any, ``masks``
        (N, height, width); without instances that an evaluation ignores (crowds, difficult ones).
    """
    instances = [instance for instance in info.get('instances', []) if not instance.get('ignore_flag')]
    with_mask = bool(instances) and all(instance.get('mask') for instance in instances)
    load = LoadAnnotations(with_bbox=True, with_mask=with_mask, box_type=None)
    results = load({**info, 'instances': instances, 'ori_shape': shape})
    kept = ~results['gt_ignore_flags']
    truth = InstanceData(
        bboxes=torch.as_tensor(results['gt_bboxes'][kept], dtype=torch.float32).reshape(-1, 4),
        labels=torch.as_tensor(results['gt_bboxes_labels'][kept], dtype=torch.int64),
    )
    if with_mask and kept.any():
        truth.masks = torch.as_tensor(results['gt_masks'].to_ndarray()[kept]).bool()
    return truth


class DetectionDrawer:
    """Draws detections with mmdet's ``DetLocalVisualizer``.

    Args:
        meta: ``metainfo`` of the data set: ``classes``, and a ``palette`` where it has a colour for each of them.
        score_threshold: predictions below it are not drawn.
    """

    def __init__(self, meta: Mapping[str, Any], score_threshold: float) -> None:
        classes, colours = tuple(meta.get('classes') or ()), meta.get('palette')
        if not isinstance(colours, (list, tuple)) or len(colours) != len(classes):
            colours = palette(len(classes)) or 'random'
        self.visualizer = DetLocalVisualizer(name='se_mm', text_color=(255, 255, 255), line_width=2)
        self.visualizer.dataset_meta = {'classes': classes or None, 'palette': colours}
        self.score_threshold = score_threshold

    def __call__(
        self, image: np.ndarray, sample: DetDataSample, truth: InstanceData | None = None, height: int | None = None
    ) -> np.ndarray:
        """An image with its predictions, and with the ground truth on the left of them.

        Args:
            image: (H, W, 3), RGB.
            sample: mmdet's, with ``pred_instances`` in pixels of the image.
            truth: of :func:`ground_truth`; ``None``: the predictions alone.
            height: of the drawn picture; ``None``: the image's.

        Returns:
            (height, width, 3), RGB.
        """
        height = height or image.shape[0]
        scaled = mmcv.imresize(image, (max(round(image.shape[1] * height / image.shape[0]), 1), height))
        predicted = sample.pred_instances.cpu()
        drawn = DetDataSample(pred_instances=_scaled(predicted[predicted.scores > self.score_threshold], image, scaled))
        if truth is not None:
            drawn.gt_instances = _scaled(truth, image, scaled)
        self.visualizer.add_datasample('', scaled, drawn, draw_gt=truth is not None, pred_score_thr=-1)
        return self.visualizer.get_image()


def _scaled(instances: InstanceData, image: np.ndarray, scaled: np.ndarray) -> InstanceData:
    """Instances in the pixels of an image that was resized."""
    height, width = scaled.shape[:2]
    factors = np.tile((width / image.shape[1], height / image.shape[0]), 2)
    boxes = np.asarray(getattr(instances.bboxes, 'tensor', instances.bboxes), dtype=np.float32) * factors
    boxes = boxes.clip(0, np.tile((width - 1, height - 1), 2))  # mmengine warns of what ends behind the last pixel
    found = InstanceData(bboxes=torch.as_tensor(boxes), labels=instances.labels)
    if 'scores' in instances:
        found.scores = instances.scores
    if len(boxes) and 'masks' in instances:
        masks = np.asarray(instances.masks, dtype=np.uint8)
        resized = [mmcv.imresize(mask, (width, height), interpolation='nearest') for mask in masks]
        found.masks = torch.as_tensor(np.stack(resized)).bool()
    return found
