"""Gradient-weighted maps of one detection."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadAnnotations
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS
from support.helpers import REPOSITORY, randomize
from support.small import DEMO
from support.small_models import built, detector_config

from se_mm.analysis.cam import batch_of_picture, explain_detection
from se_mm.config.load import load_config
from se_mm.errors import SeMmError
from se_mm.visualization.cam import draw_cam


@pytest.fixture(scope='module')
def detector():
    cfg = load_config(str(REPOSITORY / DEMO))
    cfg.model.backbone.update(base_channels=16, stem_channels=16)
    cfg.model.neck.in_channels = [16, 32, 64, 128]
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    with MODELS.switch_scope_and_registry('mmdet') as registry:
        return randomize(registry.build(cfg.model)).eval()


def batch_of(*size: int) -> dict:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    return dict(inputs=[image], data_samples=[DetDataSample(metainfo=meta)])


@pytest.fixture(scope='module')
def batch():
    return batch_of(96, 80)


@pytest.mark.parametrize('name', ['demo', 'RetinaNet', 'FCOS', 'ATSS'])
def test_a_channels_part_is_what_the_score_loses_where_it_fades(name, detector, batch):
    """The derivative of the score along ``t * f_c``, by differences."""
    if name != 'demo':  # whose coarsest maps have a stride of 128
        detector, batch = built(detector_config(name)), batch_of(160, 144)
    found = explain_detection(detector, batch, box=1)
    with torch.no_grad():
        scores = detector.test_step(batch)[0].pred_instances.scores
    assert found.score == pytest.approx(float(scores.sort(descending=True).values[1]), abs=1e-6)
    assert [values.shape for values in found.channels] == [(16,), (32,), (64,), (128,)]
    assert all((one >= 0).all() for one in found.maps)

    def score(level: int, channel: int, factor: float) -> float:
        def fade(_, __, maps):
            maps = [features.clone() for features in maps]
            maps[level][:, channel] *= factor
            return tuple(maps)

        handle = detector.backbone.register_forward_hook(fade)
        with torch.no_grad():
            sample = detector.test_step(batch)[0].pred_instances
        handle.remove()
        distance = (sample.bboxes - torch.as_tensor(found.box)).abs().sum(1) + 1e3 * (sample.labels != found.label)
        return float(sample.scores[distance.argmin()])

    strongest = [(level, int(np.abs(values).argmax())) for level, values in enumerate(found.channels)]
    level, channel = max(strongest, key=lambda pair: abs(found.channels[pair[0]][pair[1]]))
    slope = (score(level, channel, 1.002) - score(level, channel, 0.998)) / 0.004
    assert found.channels[level][channel] == pytest.approx(slope, rel=0.05)


def test_a_map_is_the_positive_part_of_all_channels(detector, batch):
    found = explain_detection(detector, batch)
    for level, values in zip(found.maps, found.channels, strict=True):
        assert level.sum() >= values.sum() - 1e-6
    assert found.sizes == ((96, 96), (96, 80))
    assert not detector.backbone._forward_hooks
    assert all(parameter.grad is None for parameter in detector.parameters())


def test_a_picture_of_it_has_the_box_and_every_map(detector, batch, tmp_path):
    found = explain_detection(detector, batch)
    image = np.zeros((96, 80, 3), np.uint8)
    draw_cam(image, found.box, 'disc', found.maps, found.channels, found.sizes, tmp_path / 'cam.png')
    assert (tmp_path / 'cam.png').stat().st_size > 10_000


def test_maps_are_named_by_their_stride_and_their_shares_add_up(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr('se_mm.visualization.cam.save_figure', lambda figure, *_, **__: drawn.append(figure))
    maps = [np.ones(shape) for shape in ((12, 10), (6, 5), (3, 3))]  # a neck on stages 2, 3 and 4
    channels = [np.array([3.0, -1.0]), np.array([0.5, 0.5]), np.array([-2.0, 1.0])]  # 2, 1 and -1
    sizes = ((96, 80), (96, 80))
    draw_cam(np.zeros((96, 80, 3), np.uint8), np.array([1, 1, 9, 9]), 'disc', maps, channels, sizes, tmp_path / 'x.png')
    axes = drawn[0].axes
    assert [each.get_title() for each in axes[1:4]] == ['C3, 12x10', 'C4, 6x5', 'C5, 3x3']
    assert [label.get_text() for label in axes[4].get_xticklabels()] == ['C3', 'C4', 'C5']
    assert [bar.get_height() for bar in axes[4].patches] == [0.5, 0.25, -0.25]


@pytest.mark.parametrize('load', ['mmcv.LoadAnnotations', LoadAnnotations])
def test_a_picture_needs_no_annotations(load, tmp_path):
    cv2.imwrite(str(tmp_path / 'one.png'), np.zeros((7, 5, 3), np.uint8))
    pipeline = [
        dict(type='mmcv.LoadImageFromFile'),
        dict(type=load),
        dict(type='mmdet.PackDetInputs', meta_keys=('img_id',)),
    ]
    assert batch_of_picture(str(tmp_path / 'one.png'), pipeline)['inputs'][0].shape == (3, 7, 5)


def test_what_cannot_be_explained_is_one_message(detector, batch, tmp_path):
    with pytest.raises(SeMmError, match=r'--box is 100000; the picture has \d+ detections, counted from 0'):
        explain_detection(detector, batch, box=100000)
    with pytest.raises(SeMmError, match='--cam explains boxes, and Linear finds none'):
        explain_detection(torch.nn.Linear(1, 1), batch)
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    with pytest.raises(SeMmError, match=r'--cam .*broken.png cannot be read as a picture'):
        batch_of_picture(
            str(tmp_path / 'broken.png'), [dict(type='mmcv.LoadImageFromFile'), dict(type='mmdet.Resize', scale=(9, 9))]
        )
