"""tools/analyze_gates.py and tools/prune_gates.py on a detector and on a classifier."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from support.commands import forget_mmengines_state, output, tool
from support.small import DEMO, NO_WORKERS, QUICK, draw_scenes

from se_mm import SeMmError
from se_mm.analysis.gates.study import Study
from se_mm.apis.analyze_gates import analyze_gates
from se_mm.apis.prune_gates import prune_gates
from se_mm.datasets.own_data import config_with_data
from se_mm.weights.files import read_checkpoint

SCENES = 'configs/demo/se_resnet18_scenes.py'
SCENE_OPTIONS = ('--cfg-options', *NO_WORKERS, 'test_dataloader.dataset.pipeline.1.scale=40')
SCENE_OPTIONS += ('val_dataloader.dataset.pipeline.1.scale=40',)


@pytest.fixture(scope='module')
def options(data) -> tuple:
    return ('--data-root', data, '--cfg-options', *QUICK)


@pytest.fixture(scope='module')
def analysed(trained, options, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('analysed')
    args = ('--out', out, '--per-class', 3, *options)
    output(tool('analyze_gates', DEMO, trained / 'epoch_1.pth', *args))
    return out


def gates_in(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / 'gates.npz') as archive:
        return {name: archive[name] for name in archive.files}


def test_a_detectors_gates_are_kept_and_one_page_shows_them(analysed):
    saved = gates_in(analysed)
    gates = {name: values for name, values in saved.items() if name.startswith('gates/')}
    assert next(iter(gates)) == 'gates/backbone.layer1.0'
    assert [values.shape[1] for values in gates.values()] == [16, 16, 32, 32, 64, 64, 128, 128]
    count = len(saved['files'])
    assert all(values.shape[0] == count and values.dtype == np.float32 for values in gates.values())
    assert all(((values > 0) & (values < 1)).all() for values in gates.values())
    assert saved['class_names'].tolist() == ['disc', 'box', 'triangle']
    assert saved['classes'].shape == saved['sizes'].shape == (count, 3)
    page = (analysed / 'report.html').read_text()
    assert page.count('src="data:image/png;base64,') == 6
    assert 'src="http' not in page
    blocks = json.loads((analysed / 'gates.json').read_text())['blocks']
    assert blocks['backbone.layer4.1']['mean'] == pytest.approx(gates['gates/backbone.layer4.1'].mean(), abs=1e-6)
    assert not list(analysed.glob('.gates-*'))


def test_mistakes_are_one_line(trained, options, tmp_path):
    def refusal(*args) -> str:
        done = tool('analyze_gates', *args, '--out', tmp_path / 'out')
        assert done.returncode == 2
        assert 'Traceback' not in done.stderr
        return done.stderr.splitlines()[-1]

    checkpoint = trained / 'epoch_1.pth'
    assert 'no picture has cow' in refusal(DEMO, checkpoint, '--classes', 'cow', *options)
    assert '--channels is 0' in refusal(DEMO, checkpoint, '--channels', '0', *options)
    plain = {key: value for key, value in read_checkpoint(checkpoint)['state_dict'].items() if '.se.' not in key}
    torch.save({'state_dict': plain, 'meta': {}}, tmp_path / 'plain.pth')
    without = ('configs/demo/faster_rcnn_r18_shapes.py', tmp_path / 'plain.pth', *options)
    assert 'it is a plain network' in refusal(*without)


def test_a_stage_is_pruned_from_a_detector_and_the_files_run_elsewhere(trained, options, tmp_path):
    args = ('--calibration', 6, *options)
    said = output(tool('prune_gates', DEMO, trained / 'epoch_1.pth', '--stages', 3, '--out', tmp_path, *args))
    assert 'over 6 pictures of the training set' in said
    numbers = json.loads((tmp_path / 'pruning.json').read_text())
    assert numbers['frozen'] == ['backbone.layer4.0', 'backbone.layer4.1']
    saved = numbers['parameters']['before'] - numbers['parameters']['after']
    assert saved == 2 * (2 * 128 * 8 + 8 + 128)
    assert Config.fromfile(tmp_path / 'pruned.py').model.backbone.attention_blocks == [None, None, None, []]
    done = tool('test', tmp_path / 'pruned.py', tmp_path / 'pruned.pth', '--work-dir', tmp_path / 'test')
    assert f'{numbers["coco/bbox_mAP"]["after"]:.4f}'[:5] in output(done)
    done = tool('prune_gates', DEMO, trained / 'epoch_1.pth', '--blocks', 'layer5.0', '--out', tmp_path, *args)
    assert done.returncode == 2
    assert '--blocks: layer5.0 has no gate' in done.stderr


@pytest.fixture(scope='module')
def scenes(tmp_path_factory) -> tuple[Path, Path]:
    """A classifier that has not learnt, of two classes of noise, and its data."""
    folder = tmp_path_factory.mktemp('scenes')
    root = draw_scenes(folder / 'data', train=3, val=4)
    cfg = config_with_data(SCENES, data_root=str(root), classes=('left', 'right'))
    torch.manual_seed(0)
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        model = registry.build(cfg.model)
    model.init_weights()
    meta = dict(dataset_meta=dict(classes=('left', 'right')))
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, folder / 'random.pth')
    return folder / 'random.pth', root


def test_a_classifiers_removal_study_and_a_class_with_fewer_pictures(scenes, tmp_path):
    checkpoint, root = scenes
    args = ('--data-root', root, '--out', tmp_path, '--removal', '--calibration', 5, '--classes', 'right')
    said = output(tool('analyze_gates', SCENES, checkpoint, *args, *SCENE_OPTIONS))
    assert 'fewer pictures than --per-class 50, all are used: left 4, right 4' in said
    study = json.loads((tmp_path / 'gates.json').read_text())['removal']
    assert study['about'] == 'accuracy/top1 on the test set; mean gates over 5 pictures of the training set'
    assert [entry['what'] for entry in study['groups']][:2] == ['nothing', 'backbone.layer1.0']
    assert len(study['groups']) == 1 + 8 + 4 + 1
    assert gates_in(tmp_path)['labels'].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_in_python_the_config_stays_as_it_is_and_folders_are_text_or_paths(scenes, tmp_path):
    forget_mmengines_state()
    cfg = config_with_data(SCENES, data_root=str(scenes[1]), classes=('left', 'right'))
    before = copy.deepcopy(cfg)
    Study(cfg, str(scenes[0]), tmp_path / 'log')
    with pytest.raises(SeMmError, match='none.pth'):
        analyze_gates(cfg, 'none.pth', str(tmp_path / 'gates'))
    with pytest.raises(SeMmError, match='none.pth'):
        prune_gates(cfg, 'none.pth', str(tmp_path / 'pruned'), stages=[3])
    for options in ({}, dict(stages=()), dict(budget=0.1, blocks=['layer4.1'])):
        with pytest.raises(SeMmError, match='one of budget, stages and blocks'):
            prune_gates(cfg, str(scenes[0]), tmp_path / 'pruned', **options)
    assert cfg.to_dict() == before.to_dict()


def test_gates_are_pruned_within_a_budget_that_is_kept(scenes, tmp_path):
    checkpoint, root = scenes
    args = ('--data-root', root, '--out', tmp_path, '--calibration', 5)
    cfg = config_with_data(SCENES)
    cfg.data_preprocessor = cfg.model.pop('data_preprocessor')  # where mmpretrain's own configs have it
    cfg.dump(tmp_path / 'config.py')
    said = output(tool('prune_gates', tmp_path / 'config.py', checkpoint, *args, '--budget', 0.0, *SCENE_OPTIONS))
    assert 'the gates are chosen on those that judge them' in said
    numbers = json.loads((tmp_path / 'pruning.json').read_text())
    accuracy = numbers['accuracy/top1']
    assert accuracy['after'] >= accuracy['before']
    assert len(numbers['steps']) == 8
    assert numbers['parameters']['after'] < numbers['parameters']['before']
    done = tool('prune_gates', SCENES, checkpoint, *args, '--budget', 3, *SCENE_OPTIONS)
    assert done.returncode == 2
    assert '--budget is 3.0' in done.stderr
