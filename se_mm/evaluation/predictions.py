"""Predictions as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: Of a classifier's scores so many are kept, the best ones.
TOP = 5


def coco_results(sample: Any, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The ``pred_instances`` of mmdet's ``DetDataSample`` as COCO results, without the image's id.

    Args:
        sample: of one image.
        category_ids: the id of each label.
    """
    found = sample.pred_instances.cpu()
    rows = zip(found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    entries = [
        {'category_id': category_ids[label], 'bbox': [x1, y1, x2 - x1, y2 - y1], 'score': score}
        for (x1, y1, x2, y2), score, label in rows
    ]
    if 'masks' in found and entries:
        from mmdet.structures.mask import encode_mask_results

        masks = found.masks if isinstance(found.masks, list) else encode_mask_results(found.masks.numpy())
        for entry, mask in zip(entries, masks, strict=True):
            counts = mask['counts']
            entry['segmentation'] = {**mask, 'counts': counts.decode() if isinstance(counts, bytes) else counts}
    return entries


def best_classes(sample: Any, classes: Sequence[str]) -> dict[str, float]:
    """The best classes of an image with their probabilities, the best first."""
    scores, labels = sample.pred_score.cpu().topk(min(TOP, len(sample.pred_score)))
    return {classes[label]: score for score, label in zip(scores.tolist(), labels.tolist(), strict=True)}
