"""Trained models as one graph from the pixels to the detections or the scores."""

from __future__ import annotations

import copy

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from torch import Tensor, nn

from ..errors import SeMmError
from ..models.deploy import fold_checked
from .candidates import DenseBoxes
from .preprocessing import Preprocessing
from .regions import Regions, without_padding

#: The types of model whose exports were compared with PyTorch.
TESTED = 'Faster, Mask and Cascade R-CNN, RetinaNet, FCOS, ATSS and mmpretrain.ImageClassifier'


class Form(nn.Module):
    """A model from (N, H, W, 3) pictures, uint8 and BGR, to its outputs."""

    #: Of the outputs, in their order.
    names: tuple[str, ...]
    task: str
    #: The shortest side of a picture: the coarsest map has more than one row and column.
    least_side: int = 33

    def __init__(self, model: nn.Module, half: bool) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(model.data_preprocessor)
        self.backbone = model.backbone
        self.neck = model.neck if getattr(model, 'with_neck', False) else nn.Identity()
        self.dtype = torch.float16 if half else torch.float32

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
        """Whether the coarsest map of such pictures has more than one row: those of CIFAR have strides of 4 or 8."""
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
        self.names = ('boxes', 'scores', 'labels', 'masks')[: 4 if model.roi_head.with_mask else 3]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features, size = self.features(image), image.shape[1:3]
        return self.roi_head(features, self.rpn_head(features, size), size)


def export_form(model: nn.Module, half: bool = False) -> Form:
    """A copy of a model that ``torch.export`` can record.

    Args:
        model: mmdet's or mmpretrain's, with its weights; it stays as it is.
        half: whether its networks compute in float16; the arithmetic of boxes stays in float32.

    Returns:
        In evaluation, with the norms folded into the convolutions of the backbone.

    Raises:
        SeMmError: for a model whose postprocessing is not known.
    """
    kind = _kind(model)
    model = copy.deepcopy(model).cpu().eval()
    fold_checked(model.backbone, 'model.backbone')
    if half:
        for name in ('backbone', 'neck', 'head', 'bbox_head', 'rpn_head', 'roi_head'):
            if isinstance(getattr(model, name, None), nn.Module):
                getattr(model, name).half()
    return kind(model, half).eval().requires_grad_(False)


def _kind(model: nn.Module) -> type[Form]:
    if type(model).__name__ == 'ImageClassifier':
        from mmpretrain.models import ClsHead

        _check(model.head, ClsHead, ('predict', '_get_predictions'), 'model.head')
        return Classifier
    if isinstance(model, TwoStageDetector):
        _check(model, TwoStageDetector, ('predict', 'extract_feat'), 'model')
        _check_dense(model.rpn_head, RPNHead, 'model.rpn_head')
        _check_regions(model.roi_head)
        return TwoStage
    if isinstance(model, SingleStageDetector):
        _check(model, SingleStageDetector, ('predict', 'extract_feat'), 'model')
        _check_dense(model.bbox_head, BaseDenseHead, 'model.bbox_head')
        return DenseDetector
    raise SeMmError(f'model.type is {type(model).__name__}, which cannot be exported; known are {TESTED}')


def _check_dense(head: nn.Module, base: type, name: str) -> None:
    _check(head, base, ('_predict_by_feat_single', '_bbox_post_process'), name)
    _check(head, BaseDenseHead, ('predict', 'predict_by_feat'), name)
    if getattr(getattr(head, 'loss_cls', None), 'custom_cls_channels', False):
        raise SeMmError(f'{name}: {type(head.loss_cls).__name__} has an activation of its own, which is not exported')


def _check_regions(roi_head: nn.Module) -> None:
    base = CascadeRoIHead if isinstance(roi_head, CascadeRoIHead) else StandardRoIHead
    _check(roi_head, base, ('predict_bbox', 'predict_mask', '_bbox_forward', '_mask_forward'), 'model.roi_head')
    if getattr(roi_head, 'with_shared_head', False) or not roi_head.with_bbox:
        raise SeMmError('model.roi_head has a shared head or no box head, which cannot be exported')
    heads = {'bbox_head': BBoxHead, 'mask_head': FCNMaskHead}
    for name, kind in heads.items():
        stages = getattr(roi_head, name, None) if roi_head.with_mask or name == 'bbox_head' else None
        for head in [] if stages is None else stages if isinstance(stages, nn.ModuleList) else [stages]:
            _check(head, kind, ('predict_by_feat', '_predict_by_feat_single'), f'model.roi_head.{name}')
            if getattr(head, 'custom_cls_channels', False) or not getattr(head, 'with_reg', True):
                raise SeMmError(
                    f'model.roi_head.{name}: {type(head).__name__} with an activation of its own or without '
                    'regression cannot be exported'
                )


def _check(module: nn.Module, base: type, methods: tuple[str, ...], name: str) -> None:
    """Refuses what predicts in its own way."""
    own = [method for method in methods if getattr(type(module), method, None) is not getattr(base, method)]
    if own or not isinstance(module, base):
        raise SeMmError(
            f'{name} is a {type(module).__name__} with {", ".join(own) or "a forward"} of its own, '
            f'which cannot be exported; known are {TESTED}'
        )
