"""What the tools say to a mistake of the user."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from support.commands import tool
from support.small import DEMO

from se_mm.config.keys import mistake_in


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['train', 'configs/no_such.py'], 'config configs/no_such.py does not exist'),
        (['train', 'README.md'], 'README.md cannot be read as a config'),
        (
            ['train', 'configs/faster_rcnn_se_r50_coco.py', '--data-root', '/no/coco'],
            'train data: folder /no/coco does not exist',
        ),
        (['train', DEMO, '--resume', '/no/epoch_1.pth'], 'checkpoint to resume from /no/epoch_1.pth does not exist'),
        (
            ['test', 'configs/demo/se_resnet18_scenes.py', 'README.md', '--sheet', 'x.png', '--data-root', '/no'],
            'checkpoint README.md cannot be read',
        ),
        (['test', DEMO, '/no/epoch_1.pth'], 'checkpoint /no/epoch_1.pth does not exist'),
        (['infer', DEMO, '--out', '/tmp/x'], f'{DEMO} is a config, and no checkpoint is named beside it'),
        (['export', DEMO, 'README.md', 'more', '-o', '/tmp/x'], f'more is one word too many after {DEMO} README.md'),
        (['infer', DEMO, 'README.md', '/no/image.jpg', '--out', '/tmp/x'], 'image /no/image.jpg does not exist'),
    ],
)
def test_a_mistake_is_one_message_and_status_2(args, message):
    done = tool(*args)
    assert done.returncode == 2
    assert f'error: {message}' in done.stderr
    assert 'Traceback' not in done.stderr


def test_the_script_itself_leaves_with_that_status():
    done = tool('train', 'configs/no_such.py', fresh=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith('error: config configs/no_such.py does not exist')
    assert 'Traceback' not in done.stderr


def test_coco_that_is_missing_says_how_to_get_it():
    done = tool('train', 'configs/faster_rcnn_se_r50_coco.py', SE_MM_DATA='/no/coco')
    assert done.returncode == 2
    assert 'annotations_trainval2017.zip' in done.stderr
    assert 'SE_MM_DATA' in done.stderr


def test_an_optimizer_of_the_configs_own_package_is_known():
    """What else goes wrong with such a config would be taken for an optimizer that no registry has."""
    cfg = dict(optim_wrapper=dict(optimizer=dict(type='Lamb')))
    error = TypeError('None is not a callable object')
    assert mistake_in(Config(dict(default_scope='mmpretrain', **cfg)), error) is None
    assert 'type is Lamb, which is not registered' in str(mistake_in(Config(dict(default_scope='mmdet', **cfg)), error))
