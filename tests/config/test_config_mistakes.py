"""Mistakes on the command line end in one line that says the fix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from support.commands import forget_mmengines_state
from support.formats import Sample, voc_folder
from support.small import draw_scenes, scene_config

from se_mm import SeMmError, cli
from se_mm.config.keys import mistake_in
from se_mm.config.load import load_config
from se_mm.config.options import merge_options
from se_mm.datasets.own_data import config_with_data
from se_mm.datasets.prepare.detection import prepare_detection
from se_mm.engine import switches
from se_mm.engine.runner import build_runner, train

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
DEMO = 'se_mm::demo/faster_rcnn_se_r18_shapes.py'


@pytest.fixture(scope='module')
def cells(tmp_path_factory):
    samples = [Sample(f'{i:02d}.png', 64, 48, [('cell', (3, 4, 20, 30))]) for i in range(10)]
    root = voc_folder(tmp_path_factory.mktemp('cells'), samples)
    prepare_detection(root)
    return root


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['mmdt::retinanet/a.py'], 'no installed package mmdt ships configs; did you mean mmdet::retinanet/a.py?'),
        (['mmdet::retinanet/retinanet_r50_fpn_1x_coc.py'], f'did you mean {RETINANET}'),
        (['retinanet/retinanet_r50_fpn_1x_coco.py'], f'mmdet ships it: {RETINANET}'),
        ([DEMO, '--cfg-options', 'optim_wraper.optimizer.lr=1'], 'did you mean optim_wrapper.optimizer.lr?'),
        ([DEMO, '--cfg-options', 'nonsense=1'], 'the config has no nonsense, and nothing reads nonsense'),
        ([DEMO, '--classes', 'a', '--cfg-options', 'model.roi_head.bbox_head.num_classes=3'], 'leave one of them out'),
        ([DEMO, '--epochs', '3', '--cfg-options', 'train_cfg.max_epochs=4'], '--epochs sets train_cfg.max_epochs'),
        ([DEMO, '--epochs', '0'], '--epochs is 0; expected a whole number above 0'),
        ([DEMO, '--workers', '-1'], '--workers is -1; expected'),
        ([DEMO, '--size', '8', '8'], '--size is 8 8; expected'),
        (['se_mm::se_resnet50_places365.py', '--size', '224', '320'], 'RandomResizedCrop of this config crops squares'),
        ([DEMO, '--classes', 'a', 'b', 'a'], '--classes names a twice'),
        ([DEMO, '--data-root', '/no/data'], '/no/data does not exist; put it there, or name another folder with'),
    ],
)
def test_one_line(args, message, capsys):
    with pytest.raises(SeMmError, match=message.replace('?', r'\?')) as error:
        cli.run('train', args)
    assert len(str(error.value).splitlines()) == 1


def test_classes_of_coco_on_other_data_name_the_switch(cells, tmp_path):
    with pytest.raises(SeMmError, match='person, .* not among its 1 categories .cell.; take those with --classes ce'):
        cli.run('train', [RETINANET, '--data-root', str(cells), '--work-dir', str(tmp_path), '--no-pretrained'])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'train_cfg.max_itres': 2}, 'has no argument max_itres; did you mean max_iters?'),
        ({'model.backbone.reductoin': 8}, 'model.backbone.reductoin: SEResNet .* reductoin; did you mean reduction?'),
        ({'optim_wrapper.optimizer.momentm': 0.1}, 'SGD has no argument momentm; did you mean momentum?'),
        ({'model.bakbone.depth': 18}, 'model.bakbone: ImageClassifier has no argument bakbone; did you mean backbone?'),
    ],
)
def test_an_argument_that_no_class_takes(tmp_path, options, message):
    cfg = scene_config(draw_scenes(tmp_path / 'scenes', train=2, val=1), tmp_path / 'out', 1)
    merge_options(cfg, options)
    forget_mmengines_state()
    with pytest.raises(SeMmError, match=message.replace('?', r'\?')) as error:
        train(build_runner(cfg, switches.make_survivable))
    if 'traceback' in str(error.value):  # what is found while it runs may be a bug of another package
        file = str(error.value).partition('(traceback: ')[2].removesuffix(')')
        assert 'Traceback' in Path(file).read_text()
    else:
        assert 'train_cfg' not in message


@pytest.mark.parametrize('command', sorted(set(cli.COMMANDS.values())))
def test_help_ends_with_an_example_and_a_summary(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.run(command, ['--help'])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert out.rstrip().splitlines()[-1].startswith(f'  tools/{command}.py')


def test_se_mm_lists_its_commands_and_names_the_closest(capsys):
    cli.se_mm(['--help'])
    out = capsys.readouterr().out
    assert all(f'  {name} ' in out for name in cli.COMMANDS)
    with pytest.raises(SystemExit) as left:
        cli.se_mm(['tran'])
    assert left.value.code == 2
    assert capsys.readouterr().err.strip() == 'error: se-mm has no command tran; did you mean train?'


@pytest.mark.parametrize(
    ('part', 'given', 'message'),
    [
        (torch.nn.Conv2d(256, 8, 1), torch.zeros(1, 64, 4, 4), 'model.neck.in_channels expects 256 .* is given 64'),
        (torch.nn.Linear(2048, 2), torch.zeros(2, 512), 'model.head.in_channels expects 2048 .* is given 512'),
    ],
)
def test_a_depth_alone_names_the_channels_that_follow_from_it(part, given, message):
    """What torch says of it is the shape of a weight."""
    model = dict(neck=dict(in_channels=[256, 512, 1024, 2048]), head=dict(in_channels=2048))
    with pytest.raises(RuntimeError) as error:
        part(given)
    assert re.search(message, str(mistake_in(Config(dict(model=model)), error.value)))


def test_a_word_for_a_number_and_a_folder_that_is_not_there():
    options = {'optim_wrapper.optimizer.lr': 'abc'}
    with pytest.raises(SeMmError, match='lr=abc: it is 0.01 in the config; expected a number'):
        load_config(RETINANET, options)
    with pytest.raises(SeMmError, match='the folder of the data does not exist: /no/such'):
        config_with_data(RETINANET, data_root='/no/such', classes=[])
