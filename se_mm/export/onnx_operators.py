"""The operators of :mod:`.detection_operators` by ONNX's NonMaxSuppression and RoiAlign; imports onnxscript."""

# Without `from __future__ import annotations`: torch reads inputs and attributes from the annotations.
from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnxscript import FLOAT, INT64
from onnxscript import opset18 as op

from . import detection_operators


def nms(boxes: FLOAT, scores: FLOAT, iou_threshold: float, score_threshold: float, most: int) -> FLOAT:
    """Of each image the kept scores, -1 elsewhere."""
    one_class = op.Unsqueeze(scores, op.Constant(value_ints=[1]))
    selected = op.NonMaxSuppression(
        boxes,
        one_class,
        op.Constant(value_ints=[most]),
        op.Constant(value_floats=[iou_threshold]),
        op.Constant(value_floats=[score_threshold]),
    )
    kept = op.Gather(selected, op.Constant(value_ints=[0, 2]), axis=1)  # image, class, box -> image, box
    nothing = op.Expand(op.Constant(value_float=detection_operators.NONE), op.Shape(scores))
    return op.ScatterND(nothing, kept, op.GatherND(scores, kept))


def roi_align(
    features: Sequence[FLOAT],
    rois: FLOAT,
    levels: INT64,
    scales: Sequence[float],
    height: int,
    width: int,
    sampling_ratio: int,
    aligned: bool,
) -> FLOAT:
    """The regions of each level by one RoiAlign, put back in their order."""
    size = op.Constant(value_ints=[height, width])
    shape = op.Concat(op.Shape(rois, start=0, end=1), op.Shape(features[0], start=1, end=2), size, axis=0)
    pooled = op.Expand(op.Constant(value_float=0.0), shape)
    for level, (feature, scale) in enumerate(zip(features, scales, strict=True)):
        mine = op.Transpose(op.NonZero(op.Equal(levels, op.Constant(value_int=level))), perm=[1, 0])
        chosen = op.GatherND(rois, mine)
        image = op.Cast(op.Gather(chosen, op.Constant(value_int=0), axis=1), to=INT64.dtype)
        one, five = op.Constant(value_ints=[1]), op.Constant(value_ints=[5])
        boxes = op.Slice(chosen, one, five, one)
        part = op.RoiAlign(
            feature,
            boxes,
            image,
            coordinate_transformation_mode='half_pixel' if aligned else 'output_half_pixel',
            mode='avg',
            output_height=height,
            output_width=width,
            sampling_ratio=max(sampling_ratio, 0),
            spatial_scale=scale,
        )
        pooled = op.ScatterND(pooled, mine, part)
    return pooled


#: For ``torch.onnx.export(custom_translation_table=...)``.
TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.se_mm.nms.default: nms,
    torch.ops.se_mm.roi_align.default: roi_align,
}
