"""Overlaps and suppression of boxes, (N, 4): x1, y1, x2, y2. ``offset`` is 1 where x2 counts as inside the box."""

from __future__ import annotations

import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

_LINEAR, _GAUSSIAN = 1, 2  # softnms's methods; 0 is the hard one


def _overlaps(a: Tensor, b: Tensor, offset: int, over_first: bool = False) -> Tensor:
    """IoU of boxes that broadcast against each other, or their intersection over the area of ``a``."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    intersection = (high - low + offset).clamp(min=0).prod(-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2] + offset).prod(-1) for box in (a, b))
    return intersection / (area_a if over_first else area_a + area_b - intersection)


def bbox_overlaps(bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, *, mode: int, aligned: bool, offset: int) -> None:
    """Fills ``ious``: (M,) for pairs where ``aligned``, else (M, N). ``mode`` 0 is IoU, 1 is over the first area."""
    first = bboxes1 if aligned else bboxes1[:, None]
    ious.copy_(_overlaps(first, bboxes2, offset, over_first=mode == 1))


def nms(boxes: Tensor, scores: Tensor, *, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes kept, by descending score."""
    boxes = boxes.float()
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torch.ops.torchvision.nms(boxes, scores.float(), iou_threshold)


def softnms(*tensors: Tensor, iou_threshold: float, sigma: float, min_score: float, method: int, offset: int) -> Tensor:
    """Soft-NMS (Bodla et al., arXiv 1704.04503): fills the first K rows of ``dets`` and returns their K indices."""
    boxes, scores, dets = tensors
    left = torch.arange(len(boxes), device=boxes.device)
    scores = scores.clone()
    chosen = []
    while len(left):
        best = scores.argmax()
        dets[len(chosen), :4], dets[len(chosen), 4] = boxes[best], scores[best]
        chosen.append(left[best])
        rest = torch.arange(len(left), device=left.device) != best
        overlap = _overlaps(boxes[best], boxes[rest], offset)
        boxes, scores, left = boxes[rest], scores[rest], left[rest]
        if method == _GAUSSIAN:
            scores = scores * torch.exp(-(overlap**2) / sigma)
        else:
            scores = torch.where(overlap >= iou_threshold, scores * ((1 - overlap) if method == _LINEAR else 0), scores)
        alive = scores >= min_score
        boxes, scores, left = boxes[alive], scores[alive], left[alive]
    return torch.stack(chosen) if chosen else left


def nms_match(dets: Tensor, *, iou_threshold: float) -> list[list[int]]:
    """For each box kept, its index and those of the boxes that it suppresses, by descending score."""
    order = dets[:, 4].argsort(descending=True)
    groups = []
    while len(order):
        overlap = _overlaps(dets[order[0], :4], dets[order, :4], 0)
        suppressed = overlap >= iou_threshold
        suppressed[0] = True
        groups.append(order[suppressed].tolist())
        order = order[~suppressed]
    return groups
