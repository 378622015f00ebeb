"""The boxes of a dense head for a batch, in sizes that do not depend on what is found."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from mmdet.models.task_modules.prior_generators import AnchorGenerator, MlvlPointGenerator
from torch import Tensor, nn
from torch.nn import functional

from ..errors import SeMmError
from .detection_operators import NONE, nms

#: Between ``NONE`` and every score.
_NO_THRESHOLD = NONE / 2
_NMS_KEYS = {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}


class Boxes(NamedTuple):
    """Boxes (N, K, 4) as x1, y1, x2, y2 in pixels of the input; scores, ``NONE`` for padding; classes, or levels."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class DenseBoxes(nn.Module):
    """What ``BaseDenseHead`` and ``RPNHead`` of mmdet predict, with their ``test_cfg``.

    Args:
        head: RPN, RetinaNet, FCOS, ATSS and others with the ``predict_by_feat`` of these.

    Raises:
        SeMmError: for another prior, or a ``test_cfg`` that asks for more than top-k and NMS.
    """

    def __init__(self, head: nn.Module, name: str) -> None:
        super().__init__()
        self.head = head
        self.proposes = hasattr(head, 'rpn_conv')
        cfg = head.test_cfg
        self.most_before = int(cfg.get('nms_pre', -1))
        self.most = int(cfg.get('max_per_img', -1))
        if self.most_before <= 0 or self.most <= 0:
            raise SeMmError(
                f'{name}: nms_pre is {self.most_before} and max_per_img {self.most}; expected numbers above 0'
            )
        if not isinstance(head.prior_generator, (AnchorGenerator, MlvlPointGenerator)):
            raise SeMmError(
                f'{name}: the priors of {type(head.prior_generator).__name__} cannot be exported; '
                'expected AnchorGenerator or MlvlPointGenerator'
            )
        self.score_threshold = _NO_THRESHOLD if self.proposes else float(cfg.get('score_thr', 0))
        self.least_side = float(cfg.get('min_bbox_size', -1))
        self.nms = nms_settings(cfg.nms, name)
        self.coarsest_stride = int(max(max(stride) for stride in head.prior_generator.strides))

    def forward(self, features: tuple[Tensor, ...], size: tuple[int, int]) -> Boxes:
        """The best boxes of each image; ``size`` is height and width of the picture without padding."""
        outputs = self.head(features)
        levels = [self._of_level(i, size, *maps) for i, maps in enumerate(zip(*outputs, strict=True))]
        boxes, scores, labels = (torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))
        if self.least_side >= 0:
            sides = boxes[..., 2:] - boxes[..., :2]
            scores = scores.masked_fill((sides <= self.least_side).any(-1), NONE)
        # The classes were chosen by the threshold before; a factor may have put their scores below it.
        return best_boxes(Boxes(boxes, scores, labels), self.nms, _NO_THRESHOLD, self.most)

    def _of_level(
        self, level: int, size: tuple[int, int], cls_score: Tensor, bbox_pred: Tensor, factor: Tensor | None = None
    ) -> Boxes:
        count, _, height, width = cls_score.shape
        classes = self.head.cls_out_channels
        logits = cls_score.float().permute(0, 2, 3, 1).reshape(count, -1, classes)
        if self.head.use_sigmoid_cls:
            scores = logits.sigmoid()
        else:
            scores = logits.softmax(-1)[..., :-1]
            classes -= 1
        scores = scores.flatten(1)
        scores = scores.masked_fill(scores <= self.score_threshold, NONE)
        # Padded, so that there are always enough for the fixed number.
        best, index = functional.pad(scores, (0, self.most_before), value=NONE).topk(self.most_before)
        found = best > _NO_THRESHOLD
        index = torch.where(found, index, 0)
        place, labels = index // classes, index % classes
        deltas = bbox_pred.float().permute(0, 2, 3, 1).reshape(count, -1, 4)
        deltas = deltas.gather(1, place.unsqueeze(-1).expand(-1, -1, 4))
        priors = self._priors(level, height, width)[place]
        boxes = decoded(self.head.bbox_coder, priors, deltas, size)
        if factor is not None:
            factors = factor.float().permute(0, 2, 3, 1).reshape(count, -1).sigmoid().gather(1, place)
            best = torch.where(found, best * factors, best)
        return Boxes(boxes, best, torch.full_like(labels, level) if self.proposes else labels)

    def _priors(self, level: int, height: int, width: int) -> Tensor:
        generator = self.head.prior_generator
        if isinstance(generator, AnchorGenerator):
            return generator.single_level_grid_priors((height, width), level, device='cpu')
        # The generator of points asks tensors for their length as a plain number, which would fix the size.
        stride_w, stride_h = generator.strides[level]
        x = (torch.arange(0, width) + generator.offset).float() * stride_w
        y = (torch.arange(0, height) + generator.offset).float() * stride_h
        return torch.stack([x.repeat(height), y.unsqueeze(1).repeat(1, width).flatten()], dim=-1)


def best_boxes(found: Boxes, settings: dict[str, Any], score_threshold: float, most: int) -> Boxes:
    """The best ``most`` boxes, the best first, after NMS within the labels, as mmcv's ``batched_nms``."""
    extra = (0, most)
    boxes = functional.pad(found.boxes, (0, 0, *extra))
    scores = functional.pad(found.scores, extra, value=NONE)
    labels = functional.pad(found.labels, extra)
    apart = boxes
    if not settings['class_agnostic']:
        largest = boxes.masked_fill((scores <= score_threshold).unsqueeze(-1), 0.0).amax((1, 2))
        apart = boxes + (labels * (largest + 1).unsqueeze(1)).unsqueeze(-1)
    kept = nms(apart, scores, settings['iou_threshold'], score_threshold, most)
    best, index = kept.topk(most)
    return Boxes(boxes.gather(1, index.unsqueeze(-1).expand(-1, -1, 4)), best, labels.gather(1, index))


def decoded(coder: Any, priors: Tensor, deltas: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., P) priors and (..., 4) deltas -> (..., 4) boxes, within the picture where the coder clips them."""
    boxes = coder.decode(priors.reshape(-1, priors.shape[-1]), deltas.reshape(-1, 4))
    boxes = getattr(boxes, 'tensor', boxes).reshape(deltas.shape)
    if not getattr(coder, 'clip_border', True):
        return boxes
    height, width = (torch.scalar_tensor(side, dtype=boxes.dtype) for side in size)
    return torch.minimum(boxes.clamp(min=0), torch.stack([width, height, width, height]))


def nms_settings(cfg: Any, name: str) -> dict[str, Any]:
    """The IoU threshold, and whether classes suppress each other.

    Raises:
        SeMmError: for anything but the plain, hard NMS.
    """
    cfg = dict(cfg)
    unknown = [f'{key}={value!r}' for key, value in cfg.items() if key not in _NMS_KEYS]
    if cfg.get('type', 'nms') != 'nms' or unknown:
        raise SeMmError(
            f"{name}: nms={cfg} cannot be exported; expected type='nms' with iou_threshold and class_agnostic alone"
        )
    return {'iou_threshold': float(cfg['iou_threshold']), 'class_agnostic': bool(cfg.get('class_agnostic'))}
