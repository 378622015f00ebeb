"""tools/train.py: what it writes, and what stops it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from support.commands import output, tool
from support.helpers import REPOSITORY, shared
from support.small import DEMO, NO_WORKERS, QUICK


def test_training_says_what_it_reads_and_leaves_curves_and_a_table(trained):
    said = (trained / 'stdout.txt').read_text()
    assert 'train.json: 8 images' in said
    assert '3 classes (disc' in said
    assert 'bbox_mAP' in said
    picture = cv2.imread(str(trained / 'curves.png'))
    assert picture.std() > 5
    assert (trained / 'epoch_1.pth').is_file()
    assert json.loads((trained / 'validations.json').read_text())[0]['epoch'] == 1


def test_resume_goes_on_from_the_latest_checkpoint(trained, data, tmp_path):
    work_dir = shutil.copytree(trained, tmp_path / 'resumed')
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))
    options = [o if 'max_epochs' not in o else 'train_cfg.max_epochs=2' for o in QUICK]
    said = output(
        tool('train', DEMO, '--data-root', data, '--work-dir', work_dir, '--resume', '--cfg-options', *options)
    )
    assert 'resumed epoch: 1' in said
    assert (work_dir / 'epoch_2.pth').is_file()
    assert [entry['epoch'] for entry in json.loads((work_dir / 'validations.json').read_text())] == [1, 2]


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--cfg-options', 'model.roi_head.bbox_head.num_classes=80'], 'num_classes is 80, but .* have 3 classes'),
        (['--cfg-options', 'load_from=/no/weights.pth'], 'load_from: checkpoint /no/weights.pth does not exist'),
        (['--resume', 'weights.pth'], 'holds weights and no state of a training to resume'),
    ],
)
def test_a_mistake_stops_the_training_before_anything_is_built(args, message, data, tmp_path):
    torch.save({'state_dict': {'x': torch.zeros(1)}}, tmp_path / 'weights.pth')
    args = [tmp_path / arg if arg == 'weights.pth' else arg for arg in args]
    done = tool('train', DEMO, '--data-root', data, '--work-dir', tmp_path, *args)
    assert done.returncode == 2
    assert re.search(message, done.stderr)


def test_the_coco_config_runs_on_real_coco_images(tmp_path):
    coco = shared('tiny_coco')
    small = 'scale=(320,192)'
    options = [
        *NO_WORKERS,
        'train_cfg.max_epochs=1',
        'model.backbone.base_channels=16',
        'model.backbone.stem_channels=16',
        'model.neck.in_channels=[64,128,256,512]',
        'model.roi_head.bbox_head.fc_out_channels=64',
        'train_dataloader.dataset.indices=4',
        'val_dataloader.dataset.indices=2',
        f'train_dataloader.dataset.pipeline.2.{small}',
        f'val_dataloader.dataset.pipeline.1.{small}',
    ]
    args = ('--data-root', coco, '--work-dir', tmp_path, '--no-pretrained', '--cfg-options', *options)
    said = output(tool('train', 'configs/faster_rcnn_se_r50_coco.py', *args))
    assert '--no-pretrained: random weights in place of model.backbone.init_cfg' in said
    assert 'instances_train2017.json: 4 images' in said
    assert '80 classes (person' in said
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_mmdets_own_tool_runs_our_config(data, tmp_path):
    import mmdet

    code = (Path(mmdet.__file__).parent / '.mim' / 'tools' / 'train.py').read_text()
    (tmp_path / 'train.py').write_text(code)
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = '{REPOSITORY / DEMO}'\n")
    roots = [f'{split}_dataloader.dataset.data_root={data}' for split in ('train', 'val', 'test')]
    roots += [f'{split}_evaluator.ann_file={data}/annotations/val.json' for split in ('val', 'test')]
    command = [sys.executable, 'train.py', 'config.py', '--work-dir', 'out', '--cfg-options', *QUICK, *roots]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / 'out' / 'epoch_1.pth').is_file()
