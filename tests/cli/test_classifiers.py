"""Classifiers go through the same tools as detectors."""

from __future__ import annotations

import pytest
from support import places_tree
from support.commands import output, tool
from support.small import NO_WORKERS, SMALL_SCENES


@pytest.mark.parametrize(
    'layout', ['easy', *(pytest.param(layout, marks=pytest.mark.soak) for layout in ('256', 'large'))]
)
def test_places365_is_trained_on_and_evaluated_in_every_layout(layout, tmp_path):
    root = places_tree.make(tmp_path / 'places', layout)
    config = 'configs/se_resnet152_places365.py'
    options = ('--cfg-options', *SMALL_SCENES, 'train_cfg.max_epochs=1')
    said = output(tool('train', config, '--data-root', root, '--work-dir', tmp_path / 'out', *options))
    assert '730 images, 730 labels, 365 classes (airfield 2' in said
    assert 'accuracy/top1' in said
    assert 'error/top5' in said
    args = ('--data-root', root, '--work-dir', tmp_path / 'test', '--confusion', tmp_path / 'confusion.png')
    said = output(tool('test', config, tmp_path / 'out/epoch_1.pth', *args, *options))
    assert (tmp_path / 'confusion.png').stat().st_size > 10_000
    assert 'confusion_matrix/result' not in said


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
    said = output(tool('train', config, *args, '--classes', *quick))
    assert '12 images, 12 labels, 3 classes (attic 4, bar 4, cliff 4)' in said
    done = tool('train', config, *args, '--classes', 'bar', 'attic', 'cliff', *quick)
    assert done.returncode == 2
    assert 'not the classes of the config (bar, attic, cliff) in the same order' in done.stderr
    done = tool('train', config, *args, *quick)
    assert done.returncode == 2
    assert 'subfolders (3)' in done.stderr
    assert '--classes' in done.stderr
    args = (config, tmp_path / 'out/epoch_1.pth', tmp_path / 'mine/val/bar', '--out', tmp_path / 'seen')
    assert '3 classes as in' in output(tool('infer', *args))  # the config has eight classes, the checkpoint three
    said = output(tool('infer', *args, '--classes', 'attic', 'bar', 'cliff'))
    assert 'bar/0.jpg: ' in said
    assert (tmp_path / 'seen/vis/0.jpg').is_file()
