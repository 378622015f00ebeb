"""The second stage of a detector for a batch: Faster, Mask and Cascade R-CNN."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import SeMmError
from .candidates import Boxes, best_boxes, decoded, nms_settings
from .detection_operators import NONE, roi_align


class RegionExtractor(nn.Module):
    """mmdet's ``SingleRoIExtractor``: each region from one level of the pyramid.

    Raises:
        SeMmError: for another extractor or pooling.
    """

    def __init__(self, extractor: nn.Module, name: str) -> None:
        super().__init__()
        layers = getattr(extractor, 'roi_layers', [None])
        layer = layers[0]
        plain = type(extractor).__name__ == 'SingleRoIExtractor' and type(layer).__name__ == 'RoIAlign'
        if not plain or layer.pool_mode != 'avg':
            raise SeMmError(
                f'{name}: {type(extractor).__name__} of {type(layer).__name__} cannot be exported; '
                "expected SingleRoIExtractor with RoIAlign and pool_mode='avg'"
            )
        self.map_roi_levels = extractor.map_roi_levels
        self.levels = len(layers)
        self.scales = [float(layer.spatial_scale) for layer in layers]
        self.size = tuple(int(side) for side in layer.output_size)
        self.sampling_ratio = max(int(layer.sampling_ratio), 0)
        self.aligned = bool(layer.aligned)

    def forward(self, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """(N, K, 4) boxes -> (N K, C, height, width), float32."""
        image = torch.arange(boxes.shape[0], dtype=boxes.dtype)
        rois = torch.cat([image.view(-1, 1, 1).expand(-1, boxes.shape[1], 1), boxes], dim=-1).reshape(-1, 5)
        levels = self.map_roi_levels(rois, self.levels)
        maps = [feature.float() for feature in features[: self.levels]]
        return roi_align(maps, rois, levels, self.scales, *self.size, self.sampling_ratio, self.aligned)


class Regions(nn.Module):
    """The boxes and masks of a ``StandardRoIHead`` or a ``CascadeRoIHead``.

    A standard head is a cascade of one stage. The outputs have ``max_per_img`` rows for each
    image; those without a detection have the score 0 and the label -1.
    """

    def __init__(self, roi_head: nn.Module) -> None:
        super().__init__()
        cfg = roi_head.test_cfg
        self.bbox_heads = nn.ModuleList(stages(roi_head.bbox_head))
        extractors = stages(roi_head.bbox_roi_extractor)
        self.extractors = nn.ModuleList(RegionExtractor(e, 'roi_head.bbox_roi_extractor') for e in extractors)
        self.mask_heads = nn.ModuleList(stages(roi_head.mask_head) if roi_head.with_mask else [])
        extractors = stages(roi_head.mask_roi_extractor) if roi_head.with_mask else []
        self.mask_extractors = nn.ModuleList(RegionExtractor(e, 'roi_head.mask_roi_extractor') for e in extractors)
        self.score_threshold = float(cfg.score_thr)
        self.most = int(cfg.max_per_img)
        self.nms = nms_settings(cfg.nms, 'roi_head.test_cfg')

    def forward(self, features: tuple[Tensor, ...], proposals: Boxes, size: tuple[int, int]) -> tuple[Tensor, ...]:
        """Boxes (N, K, 4), scores (N, K), labels (N, K), and masks (N, K, h, w) where there is a mask head."""
        boxes, logits = proposals.boxes, []
        for i, (head, extractor) in enumerate(zip(self.bbox_heads, self.extractors, strict=True), start=1):
            scores, deltas = head(extractor(features, boxes).to(_dtype(head)))
            logits.append(scores.float().reshape(*boxes.shape[:2], -1))
            deltas = deltas.float().reshape(*boxes.shape[:2], -1, 4)
            if i < len(self.bbox_heads):
                boxes = self._refined(head, boxes, logits[-1], deltas, size)
        scores = (sum(logits) / len(logits)).softmax(-1)[..., :-1]
        scores = scores.masked_fill((proposals.scores < 0).unsqueeze(-1), NONE)
        priors = boxes.unsqueeze(2).expand(-1, -1, deltas.shape[2], -1)
        regressed = decoded(self.bbox_heads[-1].bbox_coder, priors, deltas, size).expand(-1, -1, scores.shape[-1], -1)
        labels = torch.arange(scores.shape[-1]).expand(scores.shape)
        found = Boxes(regressed.flatten(1, 2), scores.flatten(1), labels.flatten(1))
        found = best_boxes(found, self.nms, self.score_threshold, self.most)
        outputs = without_padding(found)
        if self.mask_heads:
            outputs += (self._masks(features, found),)
        return outputs

    def _refined(self, head: nn.Module, boxes: Tensor, logits: Tensor, deltas: Tensor, size: tuple[int, int]) -> Tensor:
        if head.reg_class_agnostic:
            chosen = deltas[:, :, 0]
        else:
            best = logits[..., :-1].argmax(-1)
            chosen = deltas.gather(2, best[..., None, None].expand(-1, -1, 1, 4)).squeeze(2)
        return decoded(head.bbox_coder, boxes, chosen, size)

    def _masks(self, features: tuple[Tensor, ...], found: Boxes) -> Tensor:
        boxes = found.boxes
        stages = []
        for i, head in enumerate(self.mask_heads):
            extractor = self.mask_extractors[min(i, len(self.mask_extractors) - 1)]
            maps = head(extractor(features, boxes).to(_dtype(head))).float()
            maps = maps.reshape(*boxes.shape[:2], *maps.shape[1:])
            label = torch.zeros_like(found.labels) if head.class_agnostic else found.labels
            index = label[..., None, None, None].expand(-1, -1, 1, *maps.shape[-2:])
            stages.append(maps.gather(2, index).squeeze(2).sigmoid())
        return sum(stages) / len(stages)


def without_padding(found: Boxes) -> tuple[Tensor, ...]:
    """The rows that are no detection as zeros, with the label -1."""
    real = found.scores > 0
    boxes = found.boxes * real.unsqueeze(-1)
    return boxes, found.scores.clamp(min=0), torch.where(real, found.labels, -1)


def stages(modules: nn.Module) -> list[nn.Module]:
    """The stages of a cascade; a single module is one stage."""
    return list(modules) if isinstance(modules, nn.ModuleList) else [modules]


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
