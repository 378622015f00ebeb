"""``--tta``: several views of each picture, whose predictions are merged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict

from ..errors import SeMmError
from ..utils.type_names import type_name
from .loaders import datasets_of
from .tree import nodes

_CORNERS = ('top_left', 'top_right', 'bottom_left', 'bottom_right')
_FLIPS = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0, direction='horizontal')]
#: Of the views of a detector, relative to the config's: mmdet's own default.
_SCALES = (1, 0.5, 1.5)


def use_test_time_augmentation(cfg: Config, views: Sequence[str] = ()) -> None:
    """Puts a test on several views in the place of the plain test.

    Args:
        cfg: changed in place.
        views: of a classifier ``'ten-crop'`` (the corners, the centre and their flips) and ``'scales=224,256'`` (the
            crop's sizes in pixels, with the resizing in proportion); their softmax outputs are averaged. None of them:
            the config's ``tta_model`` and ``tta_pipeline``; for a detector without, three scales and flips.

    Raises:
        SeMmError: if the config has none, for other views, or a pipeline that these cannot be made of.
    """
    if not views and not ('tta_model' in cfg and 'tta_pipeline' in cfg):
        if cfg.get('default_scope') != 'mmdet':
            raise SeMmError(
                '--tta needs `tta_model` and `tta_pipeline` in the config, or for a classifier: '
                '--tta ten-crop, --tta scales=224,256,288'
            )
        _use_scales_and_flips(cfg)
    elif views:
        _use_views(cfg, views)
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in datasets_of(cfg.test_dataloader):
        dataset.pipeline = cfg.tta_pipeline


def _pipeline_of(cfg: Config, *steps: str) -> dict[str, dict[str, Any]]:
    """The transforms of the test pipeline by their types, among them ``steps``; loading is the first."""
    found = {type_name(step): step for dataset in datasets_of(cfg.test_dataloader) for step in dataset.pipeline}
    if missing := [name for name in ('LoadImageFromFile', *steps) if name not in found]:
        raise SeMmError(f'--tta: the test pipeline of this config has no {", ".join(missing)} that views are made of')
    return found


def _use_scales_and_flips(cfg: Config) -> None:
    steps = _pipeline_of(cfg, 'Resize', 'PackDetInputs')
    if any('segm' in str(node.get('metric')) for _, node in nodes(cfg.get('test_evaluator'))):
        raise SeMmError("--tta merges boxes, and this config also evaluates masks: add test_evaluator.metric='bbox'")
    resize, pack = steps['Resize'], steps['PackDetInputs']
    if not resize.get('scale') or isinstance(resize['scale'], int):
        raise SeMmError(f'--tta: Resize of this config has no scale of two numbers: {resize.get("scale")}')
    resizes = [dict(resize, scale=tuple(round(side * factor) for side in resize['scale'])) for factor in _SCALES]
    keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')
    annotations = [[steps['LoadAnnotations']]] if 'LoadAnnotations' in steps else []
    cfg.tta_model = dict(type='DetTTAModel', tta_cfg=_merging(cfg.model))
    views = dict(type='TestTimeAug', transforms=[resizes, _FLIPS, *annotations, [dict(pack, meta_keys=keys)]])
    cfg.tta_pipeline = [steps['LoadImageFromFile'], views]


def _merging(model: Mapping[str, Any]) -> dict[str, Any]:
    """How the boxes of the views are merged: by the detector's own suppression, mmdet's default where it has none."""
    found = [node for _, node in nodes(model.get('test_cfg')) if 'nms' in node and 'max_per_img' in node]
    tests = [node for node in found if 'score_thr' in node]
    if tests and tests[-1]['nms'].get('type') == 'nms':
        return dict(nms=tests[-1]['nms'], max_per_img=tests[-1]['max_per_img'])
    return dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)


def _use_views(cfg: Config, views: Sequence[str]) -> None:
    if cfg.get('default_scope') != 'mmpretrain':
        raise SeMmError(f'--tta {" ".join(views)} is for classifiers; for a detector: --tta alone')
    steps = _pipeline_of(cfg, 'ResizeEdge', 'CenterCrop', 'PackInputs')
    crop, resize = steps['CenterCrop'], steps['ResizeEdge']
    size, sizes, crops = crop['crop_size'], [crop['crop_size']], [{}]
    for view in views:
        name, _, values = view.partition('=')
        if view == 'ten-crop':
            crops = [{}, *(dict(type='se_mm.CornerCrop', corner=corner) for corner in _CORNERS)]
        elif name == 'scales' and all(value.isdigit() and int(value) > 0 for value in values.split(',')):
            sizes = [int(value) for value in values.split(',')]
        else:
            raise SeMmError(f'--tta {view}: expected ten-crop, or scales=224,256,288 (pixels)')
    made = [
        [dict(resize, scale=math.floor(resize['scale'] * side / size)), {**crop, 'crop_size': side, **place}, flip]
        for side in sizes
        for place in crops
        for flip in (_FLIPS if len(crops) > 1 else _FLIPS[:1])
    ]
    cfg.tta_model = dict(type='AverageClsScoreTTA')
    each = [dict(type='KeyMapper', transforms=steps) for steps in made]
    augmented = dict(type='TestTimeAug', transforms=[each, [steps['PackInputs']]])
    cfg.tta_pipeline = [steps['LoadImageFromFile'], augmented]
