"""A training that was killed and resumed is the one that was not, bit for bit."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from faults import sha256_of_training
from helpers import REPOSITORY

from se_mm.datasets import shapes

EPOCHS = """
_base_ = '{repository}/configs/demo/faster_rcnn_se_r18_shapes.py'
custom_imports = dict(imports=['se_mm', 'faults'], allow_failed_imports=False)
model = dict(
    backbone=dict(base_channels=16, stem_channels=16), neck=dict(in_channels=[16, 32, 64, 128]),
)
train_dataloader = dict(num_workers={workers}, persistent_workers={workers} > 0)
train_cfg = dict(max_epochs=3, val_interval=2)
default_hooks = dict(checkpoint=dict({checkpoint}, save_best=None))
custom_hooks = [dict(type='LeaveState'), {fault}]
"""
ITERATIONS = """
_base_ = '{repository}/configs/demo/se_resnet18_scenes.py'
custom_imports = dict(imports=['se_mm', 'faults'], allow_failed_imports=False)
classes = ('a', 'b')
model = dict(
    data_preprocessor=dict(num_classes=2), backbone=dict(base_channels=8, stem_channels=8),
    head=dict(num_classes=2, in_channels=64, topk=(1,)),
)
train_dataloader = dict(
    batch_size=4, num_workers={workers}, persistent_workers={workers} > 0,
    dataset=dict(metainfo=dict(classes=classes)), sampler=dict(type='{sampler}', shuffle=True),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(metainfo=dict(classes=classes)))
val_evaluator = dict(_delete_=True, type='Accuracy')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=12, val_interval=7)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=12, by_epoch=False)]
default_hooks = dict(checkpoint=dict(by_epoch=False, {checkpoint}, save_best=None))
custom_hooks = [dict(type='LeaveState'), {fault}]
"""


@pytest.fixture(scope='module')
def boxes(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('shapes')
    counts = dict(shapes.SPLITS)
    shapes.SPLITS.update(train=18, val=2)
    shapes.draw(root, seed=1)
    shapes.SPLITS.update(counts)
    return root


@pytest.fixture(scope='module')
def scenes(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('scenes')
    random_pixels = np.random.default_rng(0)
    for split, count in (('train', 9), ('val', 2)):
        for name in 'ab':
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                image = random_pixels.integers(0, 256, (100, 120, 3), np.uint8)
                cv2.imwrite(str(root / split / name / f'{i}.png'), image)
    return root


def train(config: str, data: Path, work_dir: Path, *switches: str, **values) -> subprocess.CompletedProcess:
    values = dict(fault='', checkpoint='interval=1, max_keep_ckpts=1', workers=1, sampler='InfiniteSampler') | values
    file = work_dir.with_name(f'{work_dir.name}.py')
    file.write_text(config.format(repository=REPOSITORY, **values))
    tool = [sys.executable, str(REPOSITORY / 'tools/train.py'), str(file)]
    arguments = ['--data-root', str(data), '--work-dir', str(work_dir), '--deterministic', *switches]
    environment = os.environ | {'PYTHONPATH': str(REPOSITORY / 'tests'), 'OMP_NUM_THREADS': '1'}
    return subprocess.run([*tool, *arguments], capture_output=True, text=True, timeout=300, env=environment)


def trained(*args, **values) -> str:
    done = train(*args, **values)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


KILLED = -9


@pytest.mark.fault('SIGKILL in the middle of an epoch', 'goes on at the next batch; same sha256 as not killed')
def test_killed_in_an_epoch(boxes, tmp_path):
    every = 'interval=2, by_epoch=False, max_keep_ckpts=2'
    switches = ('--ema', '0.1', '--accumulate', '3')  # 15 iterations, 3 epochs of 5: gradients cross the epochs
    trained(EPOCHS, boxes, tmp_path / 'whole', '--seed', '3', *switches, checkpoint=every)
    expected = sha256_of_training(tmp_path / 'whole', 'iter_15.pth')
    for point in random.Random(0).sample(range(3, 15), 2):
        work_dir = tmp_path / f'killed_{point}'
        killed = train(
            EPOCHS, boxes, work_dir, '--seed', '3', *switches, checkpoint=every,
            fault=f"dict(type='SignalAt', iteration={point})",
        )
        assert killed.returncode == KILLED
        trained(EPOCHS, boxes, work_dir, '--resume', *switches, checkpoint=every, workers=0)
        assert sha256_of_training(work_dir, 'iter_15.pth') == expected
