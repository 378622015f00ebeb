"""Whether an exported file gives what PyTorch gives: boxes, scores, classes and masks, picture by picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn

from ..errors import SeMmError, listed
from .exported_model import ExportedModel
from .pictures import prepare
from .runtimes import ExportedFile

#: Factors of the test size at which files of a free size are compared: the first three that are large enough.
_SCALES = (0.75, 1.0, 1.25, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class Limits:
    """How far an exported file may be from PyTorch."""

    iou: float = 0.99
    score: float = 1e-3
    metric: float = 1e-3
    #: Whether a difference in a picture refuses the file; else it is only reported.
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
        """Compares the outputs for an input, (H, W, 3): what :func:`predicted` gives for PyTorch and the file."""
        self.pictures += 1
        self.sizes.add(image.shape[:2])
        where = f'{name} at {image.shape[0]}x{image.shape[1]}'
        if 'boxes' in expected:
            self._add_detections(where, expected, found)
        else:
            self._add_classes(where, expected['scores'], found['scores'])

    def lines(self) -> list[str]:
        """The report."""
        sizes = [f'{height}x{width}' for height, width in sorted(self.sizes)]
        lines = [f'{self.pictures} pictures in {len(sizes)} sizes ({listed(sizes, 6)})']
        if self.boxes:
            lines.append(f'{self.boxes} boxes: least IoU {self.least_iou:.5f}, same classes')
        if self.masks:
            lines.append(f'{self.masks} masks: least IoU {self.least_mask_iou:.4f}')
        lines.append(f'largest difference of a score {self.largest_score:.1e}')
        if self.disagreements:
            lines.append(f'{len(self.disagreements)} differences, the first: {self.disagreements[0]}')
        return lines

    def check(self, name: str) -> None:
        """Refuses a file that disagrees, or that was compared on nothing, by an ``SeMmError``."""
        if not self.limits.pictures:
            return
        if self.disagreements:
            raise SeMmError(
                f'{name} does not give what PyTorch gives and is not kept: {len(self.disagreements)} disagreements '
                f'in {self.pictures} pictures: {"; ".join(self.disagreements[:3])}'
            )
        if self.most and not self.boxes:
            raise SeMmError(
                f'nothing was compared: PyTorch finds no box in {self.pictures} pictures, so {name} is not kept; '
                'name pictures with objects by --images, or lower score_thr in model.test_cfg by --cfg-options'
            )

    def _add_classes(self, where: str, expected: np.ndarray, found: np.ndarray) -> None:
        self._add_score(float(np.abs(expected - found).max()), f'{where}: a score')
        best, other = int(expected.argmax()), int(found.argmax())
        if expected[best] - expected[other] > self.limits.score:
            self.disagreements.append(f'{where}: class {other}, and {best} in PyTorch')

    def _add_detections(self, where: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        ious = box_ious(expected['boxes'], found['boxes'])
        ious[expected['labels'][:, None] != found['labels'][None]] = -1
        left = set(range(len(found['scores'])))
        for i, score in enumerate(expected['scores'].tolist()):
            box = _named(expected, i)
            if near := [j for j in left if ious[i, j] >= self.limits.iou]:
                j = min(near, key=lambda j: abs(score - float(found['scores'][j])))
                left.remove(j)
                self.boxes += 1
                self.least_iou = min(self.least_iou, float(ious[i, j]))
                self._add_score(abs(score - float(found['scores'][j])), f'{where}: the score of {box}')
                if 'masks' in expected:
                    self._add_masks(expected['masks'][i], found['masks'][j], f'{where}: the mask of {box}')
            elif not self._is_at_the_edge(score, found):
                best = max((ious[i, j] for j in left), default=-1)
                nearest = f'; the best of its class overlaps by {best:.3f}' if best >= 0 else ''
                self.disagreements.append(f'{where}: PyTorch has {box}, the file has not{nearest}')
        for j in sorted(left):
            if not self._is_at_the_edge(float(found['scores'][j]), expected):
                self.disagreements.append(f'{where}: the file has {_named(found, j)}, PyTorch has not')

    def _add_score(self, difference: float, what: str) -> None:
        self.largest_score = max(self.largest_score, difference)
        if not difference <= self.limits.score:  # NaN too
            self.disagreements.append(f'{what} differs by {difference:.1e}')

    def _add_masks(self, expected: np.ndarray, found: np.ndarray, what: str) -> None:
        self.masks += 1
        union, same = int((expected | found).sum()), int((expected & found).sum())
        if union - same > 2:  # one pixel is much of a small mask
            self.least_mask_iou = min(self.least_mask_iou, same / union)
            if same / union < self.limits.iou:
                self.disagreements.append(f'{what} overlaps by {same / union:.3f}')

    def _is_at_the_edge(self, score: float, others: Mapping[str, Any]) -> bool:
        """Whether a box may be missing among the others by rounding: at the threshold, or behind the last one."""
        if score - self.score_threshold <= self.limits.score:
            return True
        return len(others['scores']) == self.most and score - float(np.min(others['scores'])) <= self.limits.score


def compare(
    model: nn.Module, file: ExportedFile, images: dict[str, np.ndarray], resizing: list[dict[str, Any]]
) -> Comparison:
    """Compares a file with the model that it was made from.

    Args:
        model: of PyTorch, on the CPU, in evaluation.
        file: the exported one.
        images: (H, W, 3) as OpenCV reads them, by their names.
        resizing: of the test pipeline; in three sizes where the file takes any.
    """
    description, exported = file.description, ExportedModel(file)
    thresholds = description.thresholds
    limits = LIMITS[description.precision]
    comparison = Comparison(limits, thresholds.get('score', 0.0), int(thresholds.get('max_per_image', 0)))
    scales = _SCALES if description.input_size[1:] == [None, None] else (1.0,)
    for name, picture in images.items():
        resized = (prepare(picture, resizing, scale) for scale in scales)
        large = (image for image in resized if min(image.shape[:2]) >= description.least_side)
        for image in islice(large, 3):
            outputs = (predicted(network, description.task, image) for network in (model, exported))
            comparison.add(Path(name).name, image, *outputs)
    return comparison


@torch.no_grad()
def predicted(model: nn.Module, task: str, image: np.ndarray) -> dict[str, np.ndarray]:
    """What a model finds in a picture, (H, W, 3), with its own postprocessing, in the pixels of its input.

    Args:
        model: of mmdet or mmpretrain, on the CPU and in evaluation; or an :class:`ExportedModel`.
        task: ``'detection'`` or ``'classification'``.
        image: uint8, BGR.

    Returns:
        ``scores`` (classes,) of a classifier; ``boxes`` (K, 4), ``scores`` (K,), ``labels`` (K,)
        and perhaps ``masks`` (K, H, W) of a detector.
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1).contiguous()
    if task == 'classification':
        from mmpretrain.structures import DataSample

        sample = model.test_step({'inputs': pixels[None], 'data_samples': [DataSample()]})[0]
        return {'scores': sample.pred_score.numpy()}
    from mmdet.structures import DetDataSample

    size = image.shape[:2]
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=0)
    found = model.test_step({'inputs': [pixels], 'data_samples': [DetDataSample(metainfo=meta)]})[0].pred_instances
    outputs = {'boxes': found.bboxes.numpy(), 'scores': found.scores.numpy(), 'labels': found.labels.numpy()}
    return {**outputs, 'masks': np.asarray(found.masks)} if 'masks' in found else outputs


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
