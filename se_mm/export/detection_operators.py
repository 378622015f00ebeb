"""The two operators of detection whose sizes depend on the picture, with outputs of a fixed size.

``torch.export`` records them as they are; :mod:`.onnx_operators` writes them with ONNX's standard operators.
"""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from torch import Tensor

#: The score of padding, and of boxes that are not kept.
NONE = -1.0


@torch.library.custom_op('se_mm::nms', mutates_args=())
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, most: int) -> Tensor:
    """Greedy non-maximum suppression in each image of a batch.

    Args:
        boxes: (N, K, 4) as x1, y1, x2, y2.
        scores: (N, K).
        iou_threshold, score_threshold: boxes that overlap a better one more, or do not score higher, go.
        most: maximum kept per image.

    Returns:
        (N, K), the scores, with ``NONE`` for what is not kept.

    Example:
        >>> boxes = torch.tensor([[[0, 0, 9, 9], [0, 0, 9, 8], [20, 0, 29, 9]]]).float()
        >>> nms(boxes, torch.tensor([[0.5, 0.75, 0.25]]), 0.5, 0.0, 100)
        tensor([[-1.0000,  0.7500,  0.2500]])
    """
    kept = torch.full_like(scores, NONE)
    for image in range(len(boxes)):
        candidates = (scores[image] > score_threshold).nonzero().squeeze(1)
        best = torchvision.ops.nms(boxes[image, candidates], scores[image, candidates], iou_threshold)[:most]
        kept[image, candidates[best]] = scores[image, candidates[best]]
    return kept


@nms.register_fake
def _(boxes: Tensor, scores: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(scores)


@torch.library.custom_op('se_mm::roi_align', mutates_args=())
def roi_align(
    features: list[Tensor],
    rois: Tensor,
    levels: Tensor,
    scales: list[float],
    height: int,
    width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """RoIAlign of each region on its own level of a pyramid.

    Args:
        features, scales: the levels, (N, C, H_l, W_l), and ``1 / stride`` of each.
        rois, levels: (R, 5) as image, x1, y1, x2, y2, and the level of each.
        sampling_ratio: samples in a bin and direction; 0: as many as pixels.
        aligned: whether pixels are at half coordinates.

    Returns:
        (R, C, height, width).
    """
    pooled = features[0].new_zeros(len(rois), features[0].shape[1], height, width)
    for level, (feature, scale) in enumerate(zip(features, scales, strict=True)):
        mine = (levels == level).nonzero().squeeze(1)
        if len(mine):
            size = (height, width)
            pooled[mine] = torchvision.ops.roi_align(feature, rois[mine], size, scale, sampling_ratio, aligned)
    return pooled


@roi_align.register_fake
def _(features: list[Tensor], rois: Tensor, levels: Any, scales: Any, height: int, width: int, *_: Any) -> Tensor:
    return features[0].new_empty(rois.shape[0], features[0].shape[1], height, width)
