"""Whether an exported file gives what PyTorch gives: boxes, scores, classes and masks, picture by picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn

from ..errors import listed
from .runtimes import ExportedFile

#: Factors of the test size at which files of a free size are compared: the first three that are large enough.
SCALES = (0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
SIZES = 3


@dataclass(frozen=True)
class Limits:
    """How far an exported file may be from PyTorch."""

    iou: float = 0.99
    score: float = 1e-3
    metric: float = 1e-3
    #: Whether single pictures decide; else they are reported alone.
    pictures: bool = True


LIMITS = {'fp32': Limits(), 'fp16': Limits(score=1e-2), 'int8': Limits(metric=5e-3, pictures=False)}


@dataclass
class Comparison:
    """What was compared, and what disagreed."""

    limits: Limits
    #: Least score of a detection and most detections of an image: which boxes are cut off is rounding.
    score_threshold: float = 0.0
    most: int = 0
    pictures: int = 0
    sizes: set[tuple[int, int]] = field(default_factory=set)
    boxes: int = 0
    masks: int = 0
    least_iou: float = 1.0
    largest_score: float = 0.0
    least_mask_iou: float = 1.0
    disagreements: list[str] = field(default_factory=list)

    def add(self, name: str, image: np.ndarray, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Compares the outputs for a picture.

        Args:
            name: of the picture.
            image: (H, W, 3), the input.
            expected, found: of PyTorch and of the file: ``scores`` of the classes; or ``boxes``,
                ``scores``, ``labels`` and perhaps ``masks`` of the detections.
        """
        self.pictures += 1
        self.sizes.add(image.shape[:2])
        where = f'{name} at {image.shape[0]}x{image.shape[1]}'
        if 'boxes' in expected:
            self._add_detections(where, expected, found)
        else:
            self._add_classes(where, expected['scores'], found['scores'])

    def lines(self) -> list[str]:
        """The report."""
        sizes = ', '.join(f'{height}x{width}' for height, width in sorted(self.sizes))
        lines = [f'{self.pictures} pictures in {len(self.sizes)} sizes ({listed(sizes.split(", "), 6)})']
        if self.boxes:
            lines.append(f'{self.boxes} boxes: least IoU {self.least_iou:.5f}, same classes')
        if self.masks:
            lines.append(f'{self.masks} masks: least IoU {self.least_mask_iou:.4f}')
        lines.append(f'largest difference of a score {self.largest_score:.1e}')
        if self.disagreements:
            lines.append(f'{len(self.disagreements)} differences, as: {self.disagreements[0]}')
        return lines

    def _add_classes(self, where: str, expected: np.ndarray, found: np.ndarray) -> None:
        difference = float(np.abs(expected - found).max())
        self.largest_score = max(self.largest_score, difference)
        if not difference <= self.limits.score:
            self.disagreements.append(f'{where}: a score differs by {difference:.1e}')
        best = int(expected.argmax())
        if expected[best] - expected[int(found.argmax())] > self.limits.score:
            self.disagreements.append(f'{where}: class {int(found.argmax())}, and {best} in PyTorch')

    def _add_detections(self, where: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        ious = box_ious(expected['boxes'], found['boxes'])
        ious[expected['labels'][:, None] != found['labels'][None]] = -1
        left = set(range(len(found['scores'])))
        for i in range(len(expected['scores'])):
            score = float(expected['scores'][i])
            near = [j for j in left if ious[i, j] >= self.limits.iou]
            if not near:
                if not self._is_at_the_edge(score, found):
                    best = max((ious[i, j] for j in left), default=-1)
                    said = f'; the best of its class overlaps by {best:.3f}' if best >= 0 else ''
                    self._lack(f'{where}: PyTorch has {_named(expected, i)}, the file has not{said}')
                continue
            j = min(near, key=lambda j: abs(score - float(found['scores'][j])))
            left.remove(j)
            self._add_pair(where, expected, i, found, j, float(ious[i, j]))
        for j in sorted(left):
            if not self._is_at_the_edge(float(found['scores'][j]), expected):
                self._lack(f'{where}: the file has {_named(found, j)}, PyTorch has not')

    def _add_pair(
        self, where: str, expected: Mapping[str, Any], i: int, found: Mapping[str, Any], j: int, iou: float
    ) -> None:
        self.boxes += 1
        self.least_iou = min(self.least_iou, iou)
        difference = abs(float(expected['scores'][i]) - float(found['scores'][j]))
        self.largest_score = max(self.largest_score, difference)
        if not difference <= self.limits.score:
            self._lack(f'{where}: the score of {_named(expected, i)} differs by {difference:.1e}')
        if 'masks' in expected:
            ours, theirs = expected['masks'][i], found['masks'][j]
            union, same = int((ours | theirs).sum()), int((ours & theirs).sum())
            overlap = same / union if union else 1.0
            self.masks += 1
            if union - same > 2:  # one pixel is much of a small mask
                self.least_mask_iou = min(self.least_mask_iou, overlap)
                if overlap < self.limits.iou:
                    self._lack(f'{where}: the mask of {_named(expected, i)} overlaps by {overlap:.3f}')

    def _is_at_the_edge(self, score: float, others: Mapping[str, Any]) -> bool:
        """Whether a box may be missing among the others by rounding: at the threshold, or behind the last one."""
        if score - self.score_threshold <= self.limits.score:
            return True
        return len(others['scores']) == self.most and score - float(np.min(others['scores'])) <= self.limits.score

    def _lack(self, said: str) -> None:
        self.disagreements.append(said)


def of_pytorch(model: nn.Module, image: np.ndarray) -> dict[str, np.ndarray]:
    """What a model of mmdet or mmpretrain predicts by its own postprocessing, in the pixels of its input.

    Args:
        model: on the CPU, in evaluation.
        image: (H, W, 3), uint8, BGR.
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1).contiguous()
    if type(model).__name__ == 'ImageClassifier':
        from mmpretrain.structures import DataSample

        with torch.no_grad():
            sample = model.test_step({'inputs': pixels[None], 'data_samples': [DataSample()]})[0]
        return {'scores': sample.pred_score.numpy()}
    from mmdet.structures import DetDataSample

    size = image.shape[:2]
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=0)
    with torch.no_grad():
        sample = model.test_step({'inputs': [pixels], 'data_samples': [DetDataSample(metainfo=meta)]})[0]
    found = sample.pred_instances
    outputs = {'boxes': found.bboxes.numpy(), 'scores': found.scores.numpy(), 'labels': found.labels.numpy()}
    return {**outputs, 'masks': np.asarray(found.masks)} if 'masks' in found else outputs


def of_file(file: ExportedFile, image: np.ndarray) -> dict[str, np.ndarray]:
    """The same of an exported file: one picture, without the rows that are no detection."""
    outputs = {name: output[0] for name, output in file(image[None]).items()}
    return detections(outputs, file.description.thresholds, image.shape[:2])


def detections(
    outputs: Mapping[str, np.ndarray], thresholds: Mapping[str, float], size: tuple[int, int], scale: Any = (1.0, 1.0)
) -> dict[str, np.ndarray]:
    """The detections of one picture in its own pixels; the scores of a classifier as they are.

    Args:
        outputs: of a file, for one picture.
        thresholds: of its description.
        size: height and width of the picture.
        scale: the factors by which its width and height were resized.
    """
    if 'boxes' not in outputs:
        return dict(outputs)
    real = outputs['labels'] >= 0
    found = {name: output[real] for name, output in outputs.items()}
    found['boxes'] = found['boxes'] / np.tile(np.asarray(scale, np.float32), 2)
    if 'masks' in found:
        found['masks'] = pasted_masks(found['masks'], found['boxes'], size, thresholds['mask'])
    return found


def pasted_masks(masks: np.ndarray, boxes: np.ndarray, size: tuple[int, int], threshold: float) -> np.ndarray:
    """(K, h, w) probabilities in their boxes -> (K, height, width) masks, as mmdet pastes them."""
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

    pasted = np.zeros((len(masks), *size), bool)
    for i in range(len(masks)):
        part, where = _do_paste_mask(
            torch.from_numpy(masks[i : i + 1, None]), torch.from_numpy(boxes[i : i + 1]), *size, skip_empty=True
        )
        pasted[(i, *where)] = (part[0] >= threshold).numpy()
    return pasted


def box_ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A, 4) and (B, 4) as x1, y1, x2, y2 -> (A, B).

    Example:
        >>> box_ious(np.array([[0.0, 0, 2, 2]]), np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])).round(3)
        array([[1.   , 0.333, 0.   ]])
    """
    a, b = torch.from_numpy(a).double(), torch.from_numpy(b).double()
    same = (a[:, None] - b).abs().amax(-1) < 1e-3  # boxes without an area
    return torchvision.ops.box_iou(a, b).nan_to_num_().masked_fill_(same, 1.0).numpy()


def _named(found: Mapping[str, Any], i: int) -> str:
    box = ', '.join(f'{side:.0f}' for side in found['boxes'][i])
    return f'a box ({box}) of class {int(found["labels"][i])} with score {float(found["scores"][i]):.4f}'
