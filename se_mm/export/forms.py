"""Trained models as one graph from the pixels to the detections or the scores."""

from __future__ import annotations

import copy
import re

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ..errors import SeMmError
from ..models.deploy import fold_checked, input_channels
from .candidates import DenseBoxes
from .preprocessing import Preprocessing
from .regions import Regions, stages, without_padding

#: The types of model whose exports were compared with PyTorch.
TESTED = 'Faster, Mask and Cascade R-CNN, RetinaNet, FCOS, ATSS and mmpretrain.ImageClassifier'
#: Names of the methods that make predictions of a network's outputs, in mmdet and mmpretrain.
_PREDICTS = re.compile(r'predict(?!or)|post_process|extract_feat|(bbox|mask)_forward')


class Form(nn.Module):
    """A model from (N, H, W, 3) pictures, uint8 and BGR, to its outputs."""

    #: Of the outputs, in their order.
    names: tuple[str, ...]
    task: str
    #: The shortest side of a picture: the coarsest map has more than one row and column.
    least_side: int = 33
    #: Of a detector: ``score``, ``iou`` and ``max_per_image`` of the last suppression, ``mask`` where there are masks.
    thresholds: dict[str, float]

    def __init__(self, model: nn.Module, half: bool) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(model.data_preprocessor)
        self.backbone = model.backbone
        if (channels := input_channels(self.backbone)) != 3:
            raise SeMmError(f'the network reads pictures of {channels} channels, and an exported file those of 3')
        self.neck = model.neck if getattr(model, 'with_neck', False) else nn.Identity()
        self.dtype = torch.float16 if half else torch.float32
        self.thresholds = {}

    def _set_thresholds(self, cfg: ConfigDict) -> None:
        score, most = float(cfg.get('score_thr', 0)), int(cfg.max_per_img)
        self.thresholds = {'score': score, 'iou': float(cfg.nms.iou_threshold), 'max_per_image': most}

    def features(self, image: Tensor) -> tuple[Tensor, ...]:
        """What the neck makes of the pictures."""
        return self.neck(self.backbone(self.preprocessing(image).to(self.dtype)))


class Classifier(Form):
    """Scores (N, classes) that sum to 1."""

    names, task = ('scores',), 'classification'

    def __init__(self, model: nn.Module, half: bool) -> None:
        super().__init__(model, half)
        self.head = model.head
        self.least_side = next(filter(self._has_maps_at, (5, 9, 17)), Form.least_side)

    def _has_maps_at(self, side: int) -> bool:
        """Whether the coarsest map of such pictures has more than one row, as in networks for CIFAR."""
        image = torch.zeros(1, side, side, 3, dtype=torch.uint8)
        try:
            with torch.no_grad():
                maps = self.backbone(self.preprocessing(image).to(self.dtype))
        except Exception:  # what a network raises for a picture that is too small for it
            return False
        return all(features.dim() == 4 and min(features.shape[2:]) > 1 for features in maps)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.head(self.features(image)).float().softmax(-1),)


class DenseDetector(Form):
    """Boxes, scores and labels of a single-stage detector."""

    names, task = ('boxes', 'scores', 'labels'), 'detection'

    def __init__(self, model: nn.Module, half: bool) -> None:
        super().__init__(model, half)
        self.bbox_head = DenseBoxes(model.bbox_head, 'model.bbox_head')
        self._set_thresholds(model.test_cfg)
        self.least_side = self.bbox_head.coarsest_stride + 1

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return without_padding(self.bbox_head(self.features(image), image.shape[1:3]))


class TwoStage(Form):
    """The same of a two-stage detector, and masks where it has them."""

    task = 'detection'

    def __init__(self, model: nn.Module, half: bool) -> None:
        super().__init__(model, half)
        self.rpn_head = DenseBoxes(model.rpn_head, 'model.rpn_head')
        self.least_side = self.rpn_head.coarsest_stride + 1
        self.roi_head = Regions(model.roi_head)
        self._set_thresholds(model.test_cfg.rcnn)
        self.names = DenseDetector.names
        if model.roi_head.with_mask:
            self.names += ('masks',)
            self.thresholds['mask'] = float(model.test_cfg.rcnn.mask_thr_binary)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features, size = self.features(image), image.shape[1:3]
        return self.roi_head(features, self.rpn_head(features, size), size)


def export_form(model: nn.Module, half: bool = False) -> Form:
    """A copy of a model that ``torch.export`` can record, with the norms folded into the convolutions of the backbone.

    Args:
        model: mmdet's or mmpretrain's, with its weights.
        half: whether its networks compute in float16; the arithmetic of boxes stays in float32.

    Raises:
        SeMmError: for a model whose postprocessing is not known.
    """
    form = _form_of(model)
    model = copy.deepcopy(model).cpu().eval()
    fold_checked(model.backbone, 'model.backbone')
    if half:
        for name, part in model.named_children():
            if name != 'data_preprocessor':
                part.half()
    return form(model, half).eval().requires_grad_(False)


def _form_of(model: nn.Module) -> type[Form]:
    """The form of a model; an ``SeMmError`` if it predicts in another way than the classes that are exported."""
    if type(model).__name__ == 'ImageClassifier':
        from mmpretrain.models import ClsHead

        _check(model.head, ClsHead, 'model.head')
        return Classifier
    if isinstance(model, SingleStageDetector):
        _check(model, SingleStageDetector, 'model')
        _check(model.bbox_head, BaseDenseHead, 'model.bbox_head')
        return DenseDetector
    if not isinstance(model, TwoStageDetector):
        raise SeMmError(f'model.type is {type(model).__name__}, which cannot be exported; known are {TESTED}')
    _check(model, TwoStageDetector, 'model')
    _check(model.rpn_head, RPNHead, 'model.rpn_head')
    heads = model.roi_head
    _check(heads, CascadeRoIHead if isinstance(heads, CascadeRoIHead) else StandardRoIHead, 'model.roi_head')
    box_heads = stages(heads.bbox_head) if heads.with_bbox else []
    for head in box_heads:
        _check(head, BBoxHead, 'model.roi_head.bbox_head')
    if getattr(heads, 'with_shared_head', False) or not box_heads or not all(head.with_reg for head in box_heads):
        raise SeMmError('model.roi_head cannot be exported; expected box heads with_reg=True, and no shared head')
    for head in stages(heads.mask_head) if heads.with_mask else ():
        _check(head, FCNMaskHead, 'model.roi_head.mask_head')
    return TwoStage


def _check(module: nn.Module, base: type, name: str) -> None:
    """Refuses a module that predicts in another way than ``base``."""
    kinds = type(module).__mro__
    above = kinds[: kinds.index(base)] if base in kinds else ()
    own = [method for kind in above for method in vars(kind) if _PREDICTS.search(method)]
    if own or base not in kinds:
        raise SeMmError(
            f'{name} is a {type(module).__name__} with {", ".join(own) or "predictions"} of its own, '
            f'which cannot be exported; known are {TESTED}'
        )
    if getattr(getattr(module, 'loss_cls', None), 'custom_cls_channels', False):
        raise SeMmError(f'{name}: {type(module.loss_cls).__name__} has an activation of its own, which is not exported')
