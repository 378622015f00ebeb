"""Exported files in the place of a model: for mmengine's test loop, and for single pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional

from ..errors import SeMmError, listed
from .runtimes import ExportedFile


class ExportedModel(nn.Module):
    """An exported file with the ``test_step`` of a model of mmdet or mmpretrain."""

    def __init__(self, file: ExportedFile) -> None:
        super().__init__()
        self.file = file

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        """The data samples of a batch, with predictions in the pixels of the files; the inputs are (3, H, W) each."""
        images = [picture.permute(1, 2, 0).numpy() for picture in data['inputs']]
        alike = self.file.description.input_size[0] is None and len({image.shape for image in images}) == 1
        batches = [np.stack(images)] if alike else [image[None] for image in images]
        rows = [
            {name: output[i] for name, output in outputs.items()}
            for outputs in map(self.file, batches)
            for i in range(len(next(iter(outputs.values()))))
        ]
        return [self._filled(sample, row) for sample, row in zip(data['data_samples'], rows, strict=True)]

    def _filled(self, sample: Any, outputs: dict[str, np.ndarray]) -> Any:
        if 'boxes' not in outputs:
            scores = torch.from_numpy(outputs['scores'])
            return sample.set_pred_score(scores).set_pred_label(scores.argmax(0, keepdim=True))
        scale = sample.get('scale_factor', (1.0, 1.0))
        sample.pred_instances = detections(outputs, self.file.description.thresholds, sample.ori_shape[:2], scale)
        return sample


def detections(
    outputs: Mapping[str, np.ndarray], thresholds: Mapping[str, float], size: tuple[int, int], scale: Any = (1.0, 1.0)
) -> InstanceData:
    """The detections of one picture in its own pixels, as mmdet gives them.

    Args:
        outputs: of a file, for one picture.
        thresholds: of its description.
        size, scale: height and width of the picture, and the factors by which width and height were resized.
    """
    real = outputs['labels'] >= 0
    found = {name: torch.from_numpy(output[real]) for name, output in outputs.items()}
    boxes = found['boxes'] / torch.tensor([*scale, *scale], dtype=torch.float32)
    instances = InstanceData(bboxes=boxes, scores=found['scores'], labels=found['labels'])
    if 'masks' in found:
        instances.masks = pasted_masks(found['masks'], boxes, size, thresholds['mask'])
    return instances


def pasted_masks(masks: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """Masks in the picture, sampled as by mmdet's ``FCNMaskHead``.

    Args:
        masks, boxes: (K, h, w), probabilities in the boxes, and (K, 4).
        size: height and width of the picture.
        threshold: probability from which a pixel belongs to the mask.

    Returns:
        (K, height, width), bool.

    Example:
        >>> pasted_masks(torch.ones(1, 28, 28), torch.tensor([[1.0, 0, 3, 1]]), (2, 4), 0.5).int().tolist()
        [[[0, 1, 1, 0], [0, 0, 0, 0]]]
    """
    pasted = torch.zeros(len(masks), *size, dtype=torch.bool)
    for mask, box, out in zip(masks, boxes, pasted, strict=True):
        places, grids = [], []
        for axis in (1, 0):
            low, high = box[axis].item(), box[axis + 2].item()
            place = slice(max(int(low) - 1, 0), min(math.ceil(high) + 1, out.shape[1 - axis]))
            centers = torch.arange(place.start, place.stop) + 0.5
            places.append(place)
            grids.append(((centers - low) / (high - low) * 2 - 1).nan_to_num(posinf=0.0, neginf=0.0))
        grid = torch.stack(torch.meshgrid(*grids, indexing='ij')[::-1], dim=-1)
        sampled = functional.grid_sample(mask[None, None], grid[None], align_corners=False)
        out[tuple(places)] = sampled[0, 0] >= threshold
    return pasted


def use_exported(runner: Runner, file: ExportedFile) -> None:
    """Puts a file in the place of a runner's model; an ``SeMmError`` if it knows other classes than the test set."""
    classes = list(runner.test_dataloader.dataset.metainfo.get('classes') or ())
    if classes != file.description.classes:
        raise SeMmError(
            f'{file.path} knows {len(file.description.classes)} classes ({listed(file.description.classes, 5)}) '
            f'and the test set has {len(classes)} ({listed(classes, 5)}); use the config that it was trained with'
        )
    runner.model = ExportedModel(file)
