"""--tta without a tta_model in the config."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from se_mm import SeMmError
from se_mm.config.load import load_config
from se_mm.config.locate import locate
from se_mm.config.test_time import use_test_time_augmentation


def views(cfg):
    resizes, flips, *_, pack = cfg.tta_pipeline[1].transforms
    return [step.scale for step in resizes], sorted(step.prob for step in flips), pack[0].meta_keys


def test_the_views_of_a_detector_are_mmdets():
    theirs = load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    for key in ('tta_model', 'tta_pipeline'):
        theirs.pop(key, None)  # which newer versions of this config have
    reference = Config.fromfile(locate('mmdet::retinanet/retinanet_tta.py'))
    use_test_time_augmentation(theirs)
    (scales, flips, keys), (wanted, their_flips, their_keys) = views(theirs), views(reference)
    assert [sorted(scale) for scale in scales] == [sorted(scale) for scale in wanted]
    assert (flips, keys) == (their_flips, their_keys)
    assert theirs.model.type == reference.tta_model.type == 'DetTTAModel'
    assert theirs.model.tta_cfg == reference.tta_model.tta_cfg


def test_masks_are_not_merged():
    with pytest.raises(SeMmError, match="add test_evaluator.metric='bbox'"):
        use_test_time_augmentation(load_config('se_mm::mask_rcnn_se_r50_coco.py'))
