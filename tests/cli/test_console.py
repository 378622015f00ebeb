"""What the commands print: a screen, progress, tables; all else is in the log file."""

from __future__ import annotations

import importlib.util

import pytest
from mmengine.logging import MMLogger
from support.commands import tool
from support.small import DEMO, QUICK, draw_scenes, run, scene_config

from se_mm.utils import console
from se_mm.visualization.backends import BACKENDS

QUIET = dict(SE_MM_VERBOSE='')


@pytest.fixture(scope='module')
def quiet_training(data, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('quiet')
    args = (DEMO, '--data-root', data, '--work-dir', work_dir, '--seed', 0, '--cfg-options', *QUICK)
    return tool('train', *args, **QUIET), work_dir


def test_a_training_prints_a_screen_its_progress_and_not_the_log(quiet_training):
    done, work_dir = quiet_training
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert len(lines) < 40, done.stdout + done.stderr
    before = lines[: next(i for i, line in enumerate(lines) if line.startswith('epoch 1/1, iteration 1/'))]
    for word in ('train.json: 8 images', 'model:', 'backbone SEResNet (', 'weights:', 'schedule:', 'device:'):
        assert sum(word in line for line in before) == 1, word
    assert any(line.startswith('written to:') and str(work_dir) in line for line in before)
    [last] = [line for line in lines if line.startswith('epoch 1/1, iteration 2/2')]
    assert all(word in last for word in ('loss', '0:00:00 left', 'GiB'))
    (log,) = work_dir.glob('*/*.log')
    text = log.read_text()
    assert 'System environment' in text
    assert 'Config:' in text
    assert 'Average Precision' in text
    for chatter in ('System environment', 'creating index', 'Average Precision', 'faster_coco_eval', 'mmengine - INFO'):
        assert chatter not in done.stdout + done.stderr


def test_a_training_by_iterations_counts_no_epochs(tmp_path, capsys):
    root = draw_scenes(tmp_path / 'scenes')
    run(scene_config(root, tmp_path / 'out', 2, [dict(type='se_mm.ProgressHook')], **{'train_cfg.val_interval': 1}))
    said = capsys.readouterr().out.splitlines()
    assert 'schedule:   2 iterations of 4 images, SGD with learning rate 0.04' in said
    for n in (1, 2):
        assert any(f'iteration {n}/2, loss' in line for line in said)
        assert any(f'iteration {n}: accuracy top-1 %' in line for line in said)


def test_a_test_prints_its_metrics_and_no_log(quiet_training, data, tmp_path):
    _, work_dir = quiet_training
    args = (DEMO, work_dir / 'epoch_1.pth', '--data-root', data, '--work-dir', tmp_path, '--cfg-options', *QUICK)
    done = tool('test', *args, **QUIET)
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout + done.stderr
    assert 'mAP_50 ' in done.stdout
    assert 'mmengine - INFO' not in said
    assert len(said.splitlines()) < 30, said


@pytest.mark.parametrize('name', BACKENDS)
def test_a_log_whose_package_is_missing_says_how_to_install_it(name, data, tmp_path):
    if any(importlib.util.find_spec(package) for package in BACKENDS[name][1]):
        pytest.skip(f'{name} is installed')
    done = tool('train', DEMO, '--data-root', data, '--work-dir', tmp_path, '--log', name)
    assert done.returncode == 2
    assert f'--log {name}: {name} is not installed' in done.stderr
    assert f"pip install '.[{name}]'" in done.stderr


def test_a_quiet_logger_shows_what_is_said_and_what_is_odd(tmp_path, capsys):
    logger = MMLogger.get_instance('quiet', log_file=str(tmp_path / 'all.log'))
    console.quiet(logger)
    with console.prints_logged():
        print('creating index...')
        console.say('8 images')
    logger.info('System environment')
    logger.warning('left out')
    assert console.is_quiet()
    assert console.log_file() == str(tmp_path / 'all.log')
    assert capsys.readouterr() == ('8 images\n', 'WARNING: left out\n')
    text = (tmp_path / 'all.log').read_text()
    assert all(line in text for line in ('creating index...', '8 images', 'System environment', 'left out'))
