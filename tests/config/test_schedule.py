"""A schedule that is made longer or shorter ends where it should, in the shape that it had."""

from __future__ import annotations

import copy
import json
import math
from types import SimpleNamespace

import mmdet.datasets.transforms
import mmdet.models
import mmdet.registry
import mmpretrain.datasets
import mmpretrain.registry
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import Config
from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from support.helpers import REPOSITORY
from torch import nn

from se_mm import SeMmError
from se_mm.config.batches import set_loading, set_size
from se_mm.config.load import load_config
from se_mm.config.schedule import set_length
from se_mm.config.tree import nodes
from se_mm.datasets.own_data import config_with_data, pictures_in

BY_EPOCH = [
    'cascade_rcnn/cascade-mask-rcnn_r50_fpn_20e_coco.py',
    'detr/detr_r50_8xb2-150e_coco.py',
    'faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py',
    'mask_rcnn/mask-rcnn_r50_fpn_ms-poly-3x_coco.py',
    'pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py',
    'retinanet/retinanet_r50_fpn_1x_coco.py',
    'rtmdet/rtmdet_s_8xb32-300e_coco.py',
    'ssd/ssd300_coco.py',
    'swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
    'yolact/yolact_r50_1xb8-55e_coco.py',
    'yolo/yolov3_d53_8xb8-ms-416-273e_coco.py',
    'yolox/yolox_s_8xb8-300e_coco.py',
]
BY_ITERATION = ['mask2former/mask2former_r50_8xb2-lsj-50e_coco.py', 'retinanet/retinanet_r50-caffe_fpn_1x_coco.py']
BATCHES = 50
#: What RandomCenterCropPad requires.
CORNERNET = dict(mean=[0, 0, 0], std=[1, 1, 1], to_rgb=True, test_pad_mode=None)


def schedulers(cfg):
    given = cfg.get('param_scheduler') or []
    return [given] if isinstance(given, dict) else list(given)


def rates(cfg, epochs: int) -> list[float]:
    """The learning rate of each iteration, by mmengine's own schedulers; 1 where nothing changes it."""
    optimizer = OptimWrapper(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0))
    built = []
    for given in schedulers(cfg):
        given = dict(given, optimizer=optimizer)
        registry = mmdet.registry.PARAM_SCHEDULERS
        if given.pop('convert_to_iter_based', False):
            scheduler_class = registry.get(given.pop('type'))
            built.append(scheduler_class.build_iter_from_epoch(**given, epoch_length=BATCHES))
        else:
            built.append(registry.build(given))
    rates = []
    for _ in range(epochs):
        for _ in range(BATCHES):
            rates.append(optimizer.param_groups[0]['lr'])
            for scheduler in built:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in built:
            if scheduler.by_epoch:
                scheduler.step()
    return rates


@pytest.mark.parametrize('name', BY_EPOCH)
def test_schedules_of_mmdet_end_where_the_training_does(name):
    original = load_config(f'mmdet::{name}')
    old = original.train_cfg.max_epochs
    for epochs in (1, 2, 3, 7, 2 * old):
        cfg = copy.deepcopy(original)
        set_length(cfg, epochs=epochs)
        assert cfg.train_cfg.max_epochs == epochs
        assert 1 <= cfg.train_cfg.get('val_interval', 1) <= epochs
        for scheduler in schedulers(cfg):
            by_epoch = scheduler.get('by_epoch', True)
            assert scheduler.get('begin', 0) < scheduler.get('end', math.inf)
            if by_epoch:
                assert scheduler.get('end', epochs) <= epochs
                milestones = scheduler.get('milestones', [])
                assert all(0 < step < epochs and step == int(step) for step in milestones)
                assert len(set(milestones)) == len(milestones)
        ends = [s.get('end') for s in schedulers(cfg) if s.get('by_epoch', True) and s.get('end', math.inf) < math.inf]
        had = [s.get('end') for s in schedulers(original) if s.get('by_epoch', True)]
        if ends and old in had and epochs > 2:
            assert max(ends) == pytest.approx(epochs, abs=1)
        for _, hook in nodes(cfg.get('custom_hooks') or []):
            assert 0 < hook.get('switch_epoch', 1) <= max(1, epochs - 1)
            assert 0 < hook.get('num_last_epochs', 1) <= max(1, epochs - 1)
        assert all(1 <= begin <= epochs for begin, _ in cfg.train_cfg.get('dynamic_intervals') or [])
        assert all(math.isfinite(rate) and rate > 0 for rate in rates(cfg, min(epochs, 7)))


@pytest.mark.parametrize('name', ['retinanet/retinanet_r50_fpn_1x_coco.py', 'detr/detr_r50_8xb2-150e_coco.py'])
def test_twice_the_epochs_have_the_same_rates_half_as_fast(name):
    cfg = load_config(f'mmdet::{name}')
    cfg.param_scheduler = [s for s in schedulers(cfg) if s.get('by_epoch', True)]
    epochs = cfg.train_cfg.max_epochs
    before = rates(cfg, epochs)[::BATCHES]
    set_length(cfg, epochs=2 * epochs)
    assert rates(cfg, 2 * epochs)[:: 2 * BATCHES] == pytest.approx(before)


@pytest.mark.parametrize('name', BY_ITERATION)
def test_iterations(name):
    cfg = load_config(f'mmdet::{name}')
    if 'max_iters' in cfg.train_cfg:
        with pytest.raises(SeMmError, match='counts iterations .* use --iters'):
            set_length(cfg, epochs=3)
    set_length(cfg, iters=500)
    assert cfg.train_cfg.max_iters == 500
    assert cfg.train_cfg.val_interval <= 500
    for scheduler in schedulers(cfg):
        assert scheduler.get('by_epoch', True) is False
        assert scheduler.get('end', 500) <= 500
        assert all(0 < step < 500 for step in scheduler.get('milestones', []))
    assert schedulers(cfg)[-1]['milestones']


@pytest.mark.parametrize(
    ('name', 'hook'),
    [
        ('mmdet::yolox/yolox_s_8xb8-300e_coco.py', 'YOLOXModeSwitchHook'),
        ('se_mm::demo/se_resnet18_scenes.py', 'SwitchRecipeHook'),  # held by a hook that has a name
    ],
)
def test_an_augmentation_that_is_switched_by_epochs_needs_epochs(name, hook):
    with pytest.raises(SeMmError, match=f'--iters: {hook} of this config counts epochs'):
        set_length(load_config(name), iters=100)


def test_an_interval_that_is_no_whole_number_is_shortened_too():
    cfg = load_config('mmdet::v3det/deformable-detr-refine-twostage_swin_16xb2_sample1e-3_v3det_50e.py')
    assert isinstance(cfg.train_cfg.val_interval, float)
    set_length(cfg, iters=100)
    assert cfg.train_cfg.val_interval <= 100


@pytest.mark.parametrize('name', BY_EPOCH[::2])
def test_size_is_that_of_the_test_pipeline_and_the_rest_in_proportion(name):
    def sizes(cfg, loader):
        keys = ('scale', 'img_scale', 'size', 'scales', 'crop_size')
        return [node[key] for _, node in nodes(cfg[loader]) for key in keys if isinstance(node.get(key), (tuple, list))]

    cfg, half = load_config(f'mmdet::{name}'), load_config(f'mmdet::{name}')
    width, height = next(
        node['scale'] for _, node in nodes(cfg.test_dataloader) if node.get('type') == 'Resize' and node.get('scale')
    )
    set_size(half, height // 2, width // 2)
    flat = torch.tensor([s for v in sizes(half, 'test_dataloader') for s in v])
    before = torch.tensor([s for v in sizes(cfg, 'test_dataloader') for s in v])
    assert (flat - before / 2).abs().max() <= 1
    for old, new in zip(sizes(cfg, 'train_dataloader'), sizes(half, 'train_dataloader'), strict=True):
        difference = torch.tensor(new).double() - torch.tensor(old).double() / 2
        assert difference.abs().max() <= 1 + 0.01 * max(torch.tensor(old).flatten().tolist())


@pytest.mark.parametrize(
    ('scope', 'step'),
    [
        ('mmdet', dict(type='RandomCrop', crop_size=(640, 640), allow_negative_crop=True)),
        ('mmpretrain', dict(type='mmdet.RandomCrop', crop_size=(640, 640), allow_negative_crop=True)),
        ('mmdet', dict(type=mmdet.datasets.transforms.RandomCrop, crop_size=(640, 640), allow_negative_crop=True)),
        ('mmdet', dict(type='CenterCrop', crop_size=(640, 640))),
        ('mmdet', dict(type='RandomCenterCropPad', crop_size=(640, 640), ratios=(1.0,), **CORNERNET)),
        ('mmpretrain', dict(type='RandomCrop', crop_size=(640, 640))),
        ('mmdet', dict(type='mmpretrain.RandomCrop', crop_size=(640, 640))),
        ('mmpretrain', dict(type='RandomResizedCrop', scale=(640, 640))),
        ('mmdet', dict(type='Resize', scale=(640, 640), keep_ratio=False)),
        ('mmdet', dict(type='Pad', size=(640, 640))),
    ],
)
def test_height_and_width_reach_each_transform_in_its_own_order(scope, step):
    cfg = resized_from_640(384, 512, scope, step)
    transform = built(scope, 'TRANSFORMS', cfg.train_dataloader.dataset.pipeline[0])
    boxes = dict(gt_bboxes=HorizontalBoxes(torch.empty(0, 4))) if 'ratios' in step else {}
    side = 90 if step['type'] == 'Pad' else 900
    results = transform(dict(img=np.zeros((side, side, 3), np.float32), **boxes))
    assert results['img'].shape[:2] == (384, 512)


def built(scope, registry, config):
    with DefaultScope.overwrite_default_scope(scope):  # another test may have left another one
        return getattr({'mmdet': mmdet, 'mmpretrain': mmpretrain}[scope].registry, registry).build(config)


def resized_from_640(height, width, scope, step, **others):
    test = dict(dataset=dict(pipeline=[dict(type='Resize', scale=(640, 640))]))
    cfg = Config(
        dict(default_scope=scope, train_dataloader=dict(dataset=dict(pipeline=[step])), test_dataloader=test, **others)
    )
    set_size(cfg, height, width)
    return cfg


@pytest.mark.parametrize('size', [(800, 800), (400, 666), (1333, 800), (640, 1333)])
def test_a_range_of_crops_stays_a_range(size):
    cfg = load_config('mmdet::detr/detr_r50_8xb2-150e_coco.py')
    set_size(cfg, *size)
    crops = [node for _, node in nodes(cfg.train_dataloader) if node.get('crop_type') == 'absolute_range']
    assert crops
    for crop in crops:
        assert crop.crop_size == tuple(round(side * min(size) / 800) for side in (384, 600))
        built('mmdet', 'TRANSFORMS', crop)  # which checks the order


def test_batches_are_resized_in_proportion_and_padded_to_the_size():
    augments = [
        dict(type='BatchSyncRandomResize', random_size_range=(480, 800)),
        dict(type='BatchFixedSizePad', size=(640, 640)),
    ]
    model = dict(data_preprocessor=dict(batch_augments=augments))
    resize, pad = resized_from_640(320, 960, 'mmdet', {}, model=model).model.data_preprocessor.batch_augments
    assert resize.random_size_range == (256, 384)  # half the height, in multiples of 32; the ratio is the pictures' own
    padded, _ = built('mmdet', 'MODELS', pad)(torch.zeros(1, 3, 8, 8))
    assert padded.shape[2:] == (320, 960)


def test_no_workers_and_small_batches():
    cfg = load_config('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    assert set_loading(cfg, batch_size=1, workers=0)[0] == 'batches of 1 in place of 2'
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert (cfg[loader].num_workers, cfg[loader].persistent_workers, cfg[loader].batch_size) == (0, False, 1)


def test_a_long_warm_up_is_cut_to_a_tenth(tmp_path):
    images = [{'id': i, 'file_name': f'{i}.jpg'} for i in range(40)]
    content = {'images': images, 'annotations': [], 'categories': [{'id': 1, 'name': 'a'}]}
    (tmp_path / 'train.json').write_text(json.dumps(content))
    cfg = Config(
        dict(
            train_cfg=dict(max_epochs=12, val_interval=1),
            train_dataloader=dict(batch_size=2, dataset=dict(data_root=str(tmp_path), ann_file='train.json')),
            param_scheduler=[dict(type='LinearLR', by_epoch=False, begin=0, end=500)],
        )
    )
    assert 'warm-up: 20 iterations in place of 500' in set_length(cfg, epochs=10, pictures_in=pictures_in)
    assert cfg.param_scheduler[0].end == 20


@pytest.mark.parametrize('epochs', [1, 2, 5])
def test_a_warm_up_of_a_part_of_an_epoch_is_an_iteration_or_more(tmp_path, epochs):
    for split in ('train', 'val'):
        for name in ('a', 'b'):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(20):
                (tmp_path / split / name / f'{i}.jpg').touch()
    cfg = config_with_data('se_mm::demo/se_resnet18_scenes.py', data_root=str(tmp_path), classes=[])
    set_length(cfg, epochs=epochs, pictures_in=pictures_in)
    batches = 40 // cfg.train_dataloader.batch_size
    for scheduler in schedulers(cfg):
        assert int(scheduler['begin'] * batches) < int(scheduler['end'] * batches)


@pytest.mark.parametrize('warmup', ['LinearLR', 'ConstantLR', 'QuadraticWarmupLR'])
@pytest.mark.parametrize('decay', ['MultiStepLR', 'CosineAnnealingLR', 'PolyLR'])
@pytest.mark.parametrize('unit', ['iters', 'epochs'])
def test_the_full_rate_is_reached_however_short_a_training_is(unit, decay, warmup):
    arguments = dict(MultiStepLR=dict(milestones=[800, 900]), CosineAnnealingLR=dict(T_max=950), PolyLR=dict(power=1))[
        decay
    ]
    arguments = dict(type=decay, begin=50, end=1000, by_epoch=False, **arguments)
    low = {} if warmup == 'QuadraticWarmupLR' else {'start_factor' if warmup == 'LinearLR' else 'factor': 0.001}
    first = dict(type=warmup, begin=0, end=50, by_epoch=False, **low)
    for length in range(1, 61):
        cfg = Config(
            dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=1000), param_scheduler=[first, arguments])
        )
        if unit == 'epochs':
            arguments_by_epoch = {**arguments, 'by_epoch': True, 'begin': 0}
            cfg = Config(
                dict(
                    train_cfg=dict(max_epochs=1000),
                    train_dataloader=dict(batch_size=2, dataset=dict(type='CocoDataset')),
                    param_scheduler=[first, arguments_by_epoch],
                )
            )
        set_length(cfg, **{unit: length}, pictures_in=lambda dataset: 10)
        steps = length if unit == 'iters' else length * 5
        optimizer = OptimWrapper(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0))
        built = [mmdet.registry.PARAM_SCHEDULERS.build(dict(s, optimizer=optimizer)) for s in schedulers(cfg)]
        seen = []
        for step in range(1, steps + 1):
            seen.append(optimizer.param_groups[0]['lr'])
            for scheduler in built:
                if not scheduler.by_epoch or step % 5 == 0:
                    scheduler.step()
        assert max(seen) > 0.9, (length, seen)


@pytest.mark.parametrize(('length', 'patience'), [(dict(epochs=40), 2), (dict(iters=1000), 20)])
def test_a_plateau_is_counted_in_validations_whatever_the_loop_counts(length, patience):
    cfg = Config.fromfile(REPOSITORY / 'configs/_base_/imagenet_mobile.py')
    set_length(cfg, **length)
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    scheduler = mmdet.registry.PARAM_SCHEDULERS.build(dict(cfg.param_scheduler, optimizer=optimizer))
    rates = []
    for _ in range(patience + 3):
        ParamSchedulerHook().after_val_epoch(SimpleNamespace(param_schedulers=[scheduler]), {'accuracy/top1': 50.0})
        rates.append(optimizer.param_groups[0]['lr'])
    assert rates[patience] == 0.1
    assert rates[-1] == pytest.approx(0.01)
