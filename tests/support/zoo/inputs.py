"""What the models of the zoo eat: mmdet's own generated inputs, and the few forms that it has none for."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch import nn

#: Models of tracking that put trained parts together, and train none themselves.
WITHOUT_LOSS = ('DeepSORT', 'StrongSORT', 'ByteTrack', 'OCSORT')
#: Models of self-supervision, which predict nothing.
WITHOUT_PREDICTIONS = ('MoCo', 'MoCoV3', 'BYOL', 'DenseCL', 'SimCLR', 'SimSiam', 'SwAV', 'BarlowTwins')
VIDEO = ('MaskTrackRCNN', 'Mask2FormerVideo', 'QDTrack', *WITHOUT_LOSS)
SIZE = (3, 128, 128)


def seed() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    for counter in ('iter', 'epoch'):  # BoxInst's and TOOD's warm-ups ask for them
        MessageHub.get_current_instance().update_info(counter, 0)


def adapt(cfg: Config) -> None:
    """Makes a config's model one that random weights and small pictures make sense for."""
    model = cfg.model
    for key in ('teacher_ckpt', 'detector_ckpt'):
        if key in model:
            model[key] = None
    if isinstance(model.get('teacher_config'), str):
        from .configs import folder_of

        teacher = Config.fromfile(folder_of('mmdet') / model.teacher_config.removeprefix('configs/'))
        teacher.model.backbone.init_cfg = None
        model.teacher_config = teacher
    if 'prototype' in model:
        model.prototype = torch.ones(4, 2048)  # in place of the features of a data set
    if model.get('data_preprocessor'):
        model.data_preprocessor.pop('batch_augments', None)  # pads to 1024 x 1024
    _few_boxes_of_any_score(model)


def _few_boxes_of_any_score(node: Any) -> None:
    most = {'nms_pre': 100, 'max_per_img': 20, 'num_queries': 50, 'num_proposals': 20}
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key == 'score_thr' and isinstance(value, float):
            node[key] = 0.0
        elif key in most and isinstance(value, int):
            node[key] = min(value, most[key])
        elif isinstance(value, (dict, list)):
            _few_boxes_of_any_score(value)


def batch(cfg: Config, training: bool) -> dict[str, Any] | None:
    """What the model trains on, or is tested on; ``None`` for one that predicts nothing."""
    kind = cfg.model.type
    if kind in WITHOUT_PREDICTIONS:
        return _views(kind) if training else None
    if cfg.get('default_scope') == 'mmpretrain':
        return _pictures()
    if kind == 'BaseReID':
        return _identities()
    if kind == 'SoftTeacher' and training:
        return _branches()
    if kind in VIDEO:
        return _video(training)
    return _detection(kind)


def _detection(kind: str) -> dict[str, Any]:
    from mmdet.testing import demo_mm_inputs, demo_mm_proposals

    data = demo_mm_inputs(2, [SIZE, SIZE], num_items=[4, 4], num_classes=4, with_mask=True, with_semantic=True)
    for sample in data['data_samples']:
        sample.set_metainfo({'scale_factor': (1.0, 1.0)})  # as if the picture had been of this size
    if kind == 'FastRCNN':
        proposals = demo_mm_proposals([SIZE, SIZE], 50)
        for sample, found in zip(data['data_samples'], proposals, strict=True):
            sample.proposals = InstanceData(bboxes=found.bboxes)
    return data


def _video(training: bool) -> dict[str, Any]:
    from mmdet.testing import demo_track_inputs

    if training:
        return demo_track_inputs(1, 2, key_frames_inds=[0], image_shapes=SIZE, num_items=[4], with_mask=True)
    return demo_track_inputs(1, 1, image_shapes=SIZE, num_items=[4], with_mask=True)


def _branches() -> dict[str, Any]:
    data = {branch: _detection('') for branch in ('sup', 'unsup_teacher', 'unsup_student')}
    for branch in data.values():
        for sample in branch['data_samples']:
            sample.set_metainfo({'homography_matrix': np.eye(3, dtype=np.float32)})
    keys = ('inputs', 'data_samples')
    return {key: {branch: data[branch][key] for branch in data} for key in keys}


def _noise(seed: int) -> torch.Tensor:
    return torch.randint(0, 256, SIZE, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def _pictures() -> dict[str, Any]:
    from mmpretrain.structures import DataSample

    return pseudo_collate([dict(inputs=_noise(i), data_samples=DataSample().set_gt_label(i)) for i in range(2)])


def _views(kind: str) -> dict[str, Any]:
    from mmpretrain.structures import DataSample

    views = 8 if kind == 'SwAV' else 2
    return default_collate(
        [dict(inputs=[_noise(views * i + v) for v in range(views)], data_samples=DataSample()) for i in range(4)]
    )


def _identities() -> dict[str, Any]:
    from mmdet.structures import ReIDDataSample

    inputs = torch.stack([torch.cat([_noise(i), _noise(i + 8)], 1) for i in range(8)])
    sample = ReIDDataSample().set_gt_label(np.repeat([0, 1], 4))
    return pseudo_collate([dict(inputs=inputs, data_samples=sample)])


def keep_boxes_inside(model: nn.Module) -> None:
    """QueryInst cannot paste the mask of a box outside of the picture, where six untrained refinements bring it."""
    if type(model).__name__ == 'QueryInst':
        for head in model.roi_head.bbox_head:
            nn.init.zeros_(head.fc_reg.weight)
            nn.init.zeros_(head.fc_reg.bias)
