"""Trainings on data with faults: they go on without what cannot be used, and say what that was."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.small import draw_scenes, draw_shapes, run, scene_config, train_with, trained_with
from torch.utils.data import TensorDataset

from se_mm import SeMmError
from se_mm.engine.repeatable import Reader
from se_mm.engine.runner import _workers_named

BOXES = """
_base_ = '{repository}/configs/demo/faster_rcnn_se_r18_shapes.py'
model = dict(backbone=dict(base_channels=16, stem_channels=16), neck=dict(in_channels=[16, 32, 64, 128]))
train_dataloader = dict(num_workers={workers}, persistent_workers={workers} > 0)
train_cfg = dict(max_epochs=2, val_interval=2)
default_hooks = dict(checkpoint=dict(save_best=None))
"""
WORKER = """
custom_imports = dict(imports=['se_mm', 'support.faults'], allow_failed_imports=False)
train_dataloader = dict(
    timeout=5,
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='FailAt', name='{name}', how='{how}'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs'),
        ]
    ),
)
"""


@pytest.fixture
def data(tmp_path) -> Path:
    return draw_shapes(tmp_path / 'data', train=24, val=4)


def annotations(data: Path, split: str) -> tuple[Path, dict]:
    file = data / 'annotations' / f'{split}.json'
    return file, json.loads(file.read_text())


@pytest.mark.fault('broken pictures and boxes, empty and crowd-only pictures, in a training', 'goes on; each is named')
def test_a_set_with_many_faults_trains_and_names_them(data, tmp_path):
    file, content = annotations(data, 'train')
    images = [image['file_name'] for image in content['images']]
    cut_off, missing = data / 'train' / images[0], data / 'train' / images[1]
    cut_off.write_bytes(cut_off.read_bytes()[:-30])
    missing.unlink()
    crowd, empty, *_, inverted, nan = (image['id'] for image in content['images'][2:])
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] != empty]
    for annotation in content['annotations']:
        annotation['iscrowd'] = int(annotation['image_id'] == crowd)
        if annotation['image_id'] == nan:
            annotation['bbox'] = [math.nan] * 4
        if annotation['image_id'] == inverted:
            annotation['bbox'][2] *= -1
    file.write_text(json.dumps(content))
    _, val_content = annotations(data, 'val')
    (data / 'val' / val_content['images'][0]['file_name']).write_bytes(b'')
    work_dir = tmp_path / 'out'
    said = trained_with(BOXES, data, work_dir)
    assert f'1 are not in {data}/train: {images[1]}; in the training others take their place' in said
    assert 'with a box that is not four finite numbers' in said
    assert 'with an inverted box' in said
    assert re.search(rf'{work_dir}/annotations/train_\w+_train.json is used in its place', said)
    assert f'train: {cut_off} is left out: it cannot be decoded' in said
    assert f'train: {missing} is left out: missing' in said
    last = [line for line in said.splitlines() if 'left out of the data' in line][-1]
    assert '2 images of train' in last
    assert '1 images of val' in last
    assert 'annotations of train' in last
    assert 'nan' not in ''.join(line for line in said.splitlines() if 'loss:' in line)
    assert len((work_dir / 'skipped_data.jsonl').read_text().splitlines()) >= 5


@pytest.mark.fault('more pictures cannot be read than a tenth', 'training stops with their names, status 2')
def test_too_many(data, tmp_path):
    for file in sorted((data / 'train').iterdir())[:5]:
        file.write_bytes(file.read_bytes()[:-30])
    done = train_with(BOXES, data, tmp_path / 'out')
    assert done.returncode == 2
    assert 'error: 5 of 24 train images cannot be read, more than 10.0%' in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.fault('more than a tenth of a set that is repeated in each epoch', 'training stops with their names')
def test_too_many_of_a_repeated_set(tmp_path):
    """3 of 18 pictures, in each of three rounds an epoch."""
    root = draw_scenes(tmp_path / 'scenes')
    for i in range(3):
        (root / 'train' / 'left' / f'{i}.png').write_bytes(b'')
    cfg = scene_config(root, tmp_path / 'out')
    cfg.train_cfg = dict(max_epochs=1, val_interval=10)
    cfg.train_dataloader.sampler.type = 'DefaultSampler'
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=3, dataset=cfg.train_dataloader.pop('dataset'))
    with pytest.raises(SeMmError, match=r'3 of 18 train images cannot be read, more than 10'):
        run(cfg)


@pytest.mark.parametrize(
    ('how', 'message'),
    [
        pytest.param(
            'die', 'DataLoader worker', marks=pytest.mark.fault('a worker dies', 'its picture is named, status 2')
        ),
        pytest.param('hang', 'timed out', marks=pytest.mark.fault('a worker hangs', 'its picture is named, status 2')),
    ],
)
def test_a_worker(data, tmp_path, how, message):
    name = annotations(data, 'train')[1]['images'][4]['file_name']
    done = train_with(BOXES, data, tmp_path / 'out', more=WORKER.format(name=name, how=how))
    assert done.returncode == 2, done.stderr[-2000:]
    assert message in done.stderr
    assert f'it was reading {data}/train/{name}' in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_worker_whose_death_is_found_at_the_end_of_its_pipe():
    """Before the signal of the kernel comes, which torch answers."""
    reader = Reader(TensorDataset(torch.zeros(2)), 0, 0, 1)
    reader.reading[0] = 1
    with pytest.raises(SeMmError, match='worker has ended; it was reading sample 1'), _workers_named([reader]):
        raise EOFError


@pytest.mark.fault('a transform raises', 'its last line, the picture, the traceback in the log file, status 1')
def test_a_bug_in_a_transform_keeps_its_traceback_and_names_the_picture(data, tmp_path):
    name = annotations(data, 'train')[1]['images'][4]['file_name']
    done = train_with(BOXES, data, tmp_path / 'out', more=WORKER.format(name=name, how='raise'))
    assert done.returncode == 1
    (log,) = (tmp_path / 'out').glob('*/*.log')
    assert f'error: ValueError: a bug in a transform (traceback: {log})' in done.stderr
    assert 'Traceback (most recent call last)' in log.read_text()
    assert f'{data}/train/{name} could not be prepared' in done.stderr + done.stdout


@pytest.mark.fault('pictures of one pixel', 'trained on')
def test_pictures_of_one_pixel(tmp_path):
    root = draw_scenes(tmp_path / 'scenes')
    for file in (root / 'train' / 'left').iterdir():
        cv2.imwrite(str(file), np.full((1, 1, 3), 200, np.uint8))
    runner = run(scene_config(root, tmp_path / 'out', 4))
    assert runner.iter == 4
