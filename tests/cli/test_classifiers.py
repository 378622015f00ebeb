"""Classifiers go through the same tools as detectors."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from support import places_tree
from support.commands import tool
from support.small import NO_WORKERS, SMALL_SCENES


def test_a_classifier_goes_through_the_same_tools(tmp_path):
    """mmpretrain's scope: train, test and infer on a folder per class."""
    generator = np.random.default_rng(0)
    for split in ('train', 'val'):
        for name, level in (('dark', 40), ('light', 210)):
            folder = tmp_path / 'data' / split / name
            folder.mkdir(parents=True)
            for i in range(4):
                cv2.imwrite(str(folder / f'{i}.png'), (level + generator.normal(0, 9, (48, 48, 3))).clip(0, 255))
    config = tmp_path / 'classifier.py'
    config.write_text(CLASSIFIER)
    args = ('--data-root', tmp_path / 'data', '--work-dir', tmp_path / 'out')
    done = tool('train', config, *args)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '8 images, 8 labels, 2 classes (dark 4, light 4)' in done.stdout
    assert 'top1' in done.stdout
    checkpoint = tmp_path / 'out' / 'epoch_2.pth'
    assert tool('test', config, checkpoint, *args).returncode == 0
    done = tool('infer', config, checkpoint, tmp_path / 'data' / 'val' / 'dark', '--out', tmp_path / 'seen')
    assert done.returncode == 0, done.stderr[-3000:]
    best = json.loads((tmp_path / 'seen' / 'predictions.json').read_text())[0]['scores']
    assert set(best) == {'dark', 'light'}


CLASSIFIER = """
default_scope = 'mmpretrain'
data_root = 'data/'
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(mean=[127.0] * 3, std=[60.0] * 3, to_rgb=True, num_classes=2),
    backbone=dict(type='se_mm.SEResNet', depth=18, base_channels=16, stem_channels=16, out_indices=(3,),
                  norm_eval=False),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=128, topk=(1,), loss=dict(type='CrossEntropyLoss')),
)
pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=32), dict(type='PackInputs')]
def loader(split):
    return dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=split == 'train'),
                dataset=dict(type='CustomDataset', data_root=data_root, data_prefix=split, pipeline=pipeline))
train_dataloader, val_dataloader = loader('train'), loader('val')
test_dataloader = val_dataloader
del loader
val_evaluator = test_evaluator = dict(type='Accuracy', topk=(1,))
train_cfg, val_cfg, test_cfg = dict(by_epoch=True, max_epochs=2), dict(), dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
"""


@pytest.mark.parametrize('layout', ['easy', '256', pytest.param('large', marks=pytest.mark.soak)])
def test_places365_trains_resumes_and_evaluates_in_every_layout(layout, tmp_path):
    root = places_tree.make(tmp_path / 'places', layout)
    config = 'configs/se_resnet152_places365.py'
    args = ('--data-root', root, '--work-dir', tmp_path / 'out', '--seed', 0, '--cfg-options', *SMALL_SCENES)
    done = tool('train', config, *args, 'train_cfg.max_epochs=1')
    assert done.returncode == 0, done.stderr[-3000:]
    assert '730 images, 730 labels, 365 classes (airfield 2' in done.stdout
    assert 'accuracy/top1' in done.stdout
    assert 'error/top5' in done.stdout
    if layout == 'easy':
        done = tool('train', config, '--resume', *args, 'train_cfg.max_epochs=2')
        assert done.returncode == 0, done.stderr[-3000:]
        assert 'resumed epoch: 1' in done.stdout
        validations = json.loads((tmp_path / 'out' / 'validations.json').read_text())
        assert [entry['epoch'] for entry in validations] == [1, 2]
        options = ('--data-root', root, '--work-dir', tmp_path / 'test', '--confusion', tmp_path / 'confusion.png')
        done = tool('test', config, tmp_path / 'out/epoch_2.pth', *options, '--cfg-options', *SMALL_SCENES)
        assert done.returncode == 0, done.stderr[-3000:]
        assert (tmp_path / 'confusion.png').stat().st_size > 10_000
        assert 'confusion_matrix/result' not in done.stdout


def test_any_folder_per_class_runs_by_its_root_and_classes_alone(tmp_path):
    for split, count in (('train', 4), ('val', 2)):
        for label, name in enumerate(('attic', 'bar', 'cliff')):
            folder = tmp_path / 'mine' / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f'{i}.jpg').write_bytes(places_tree.picture(label, i, 64))
    config = 'configs/demo/se_resnet18_scenes.py'
    args = ('--data-root', tmp_path / 'mine', '--work-dir', tmp_path / 'out')
    quick = ('--cfg-options', *NO_WORKERS, 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=4')
    done = tool('train', config, *args, '--classes', *quick)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '12 images, 12 labels, 3 classes (attic 4, bar 4, cliff 4)' in done.stdout
    done = tool('train', config, *args, '--classes', 'bar', 'attic', 'cliff', *quick)
    assert done.returncode == 2
    assert 'not the classes of the config (bar, attic, cliff) in the same order' in done.stderr
    done = tool('train', config, *args, *quick)
    assert done.returncode == 2
    assert 'subfolders (3)' in done.stderr
    assert '--classes' in done.stderr
    done = tool('infer', config, tmp_path / 'out/epoch_1.pth', tmp_path / 'mine/val/bar', '--out', tmp_path / 'seen')
    assert done.returncode == 0, done.stderr[-3000:]  # the config has eight classes, the checkpoint three
    assert '3 classes as in' in done.stdout
    options = ('--classes', 'attic', 'bar', 'cliff')
    images = tmp_path / 'mine/val/bar'
    done = tool('infer', config, tmp_path / 'out/epoch_1.pth', images, '--out', tmp_path / 'seen', *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'bar/0.jpg: ' in done.stdout
    assert (tmp_path / 'seen/vis/0.jpg').is_file()
