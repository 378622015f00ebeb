"""tools/test.py: metrics, predictions, pictures."""

from __future__ import annotations

import json
import pickle

import torch
from mmengine.registry import MODELS
from support import places_tree
from support.commands import output, tool
from support.helpers import REPOSITORY
from support.small import DEMO, QUICK, SMALL_SCENES

from se_mm.config.load import load_config


def test_a_config_that_averages_tests_the_average(trained, data, tmp_path):
    options = ('--cfg-options', *QUICK, 'model.test_cfg.rcnn.score_thr=0.0')
    averaged = tmp_path / 'averaged.py'  # which the checkpoint of such a training holds
    averaged.write_text(f"_base_ = '{REPOSITORY / DEMO}'\ncustom_hooks = [dict(type='EMAHook')]\n")
    args = (averaged, trained / 'epoch_1.pth', '--data-root', data, '--work-dir', tmp_path)
    output(tool('test', *args, '--out', tmp_path / 'coco.json', *options))
    results = json.loads((tmp_path / 'coco.json').read_text())
    assert {'image_id', 'bbox', 'score', 'category_id'} <= results[0].keys()


def test_a_plain_config_trains_as_its_twin_by_a_flag_and_deploys_without_a_change_of_map(data, tmp_path):
    plain = 'configs/demo/faster_rcnn_r18_shapes.py'
    args = ('--se', '--data-root', data, '--work-dir', tmp_path)
    options = ('--cfg-options', *QUICK, 'model.test_cfg.rcnn.score_thr=0.0')
    said = output(tool('train', plain, *args, '--seed', 0, *options))
    assert 'SE twin: model.backbone: mmdet.ResNet -> se_mm.SEResNet' in said
    predictions = []
    for deploy in ((), ('--deploy',)):
        out = tmp_path / f'{len(deploy)}.pkl'
        said = output(tool('test', plain, tmp_path / 'epoch_1.pth', *args, *deploy, '--out', out, *options))
        assert ('deployed, with the norms in the convolutions: backbone' in said) == bool(deploy)
        with out.open('rb') as file:
            predictions.append([sample['pred_instances'] for sample in pickle.load(file)])
    for before, after in zip(*predictions, strict=True):
        assert len(before['scores']) == len(after['scores']) > 0
        torch.testing.assert_close(after['scores'], before['scores'], rtol=1e-3, atol=1e-4)


def test_ten_crops_average_the_scores(tmp_path):
    root = places_tree.make(tmp_path / 'places', '256', train=1)
    config = 'configs/se_resnet18_places365.py'
    small = [option for option in SMALL_SCENES if 'pipeline' not in option]
    small += ['tta_pipeline.1.scale=(40,40)', 'test_dataloader.batch_size=25', 'test_dataloader.dataset.indices=50']
    small += [f'tta_pipeline.2.transforms.0.{i}.crop_size=32' for i in range(5)]
    weights = tmp_path / 'random.pth'
    cfg = load_config(str(REPOSITORY / config))
    cfg.model.backbone.update(base_channels=16, stem_channels=16)
    cfg.model.head.in_channels = 128
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        torch.save({'state_dict': registry.build(cfg.model).state_dict(), 'meta': {}}, weights)
    args = ('--data-root', root, '--work-dir', tmp_path / 'out', '--tta', '--cfg-options', *small)
    said = output(tool('test', config, weights, *args))
    assert 'accuracy/top5' in said


def test_a_checkpoint_is_enough_and_its_size_wins_over_a_config_that_says_another(trained, data, tmp_path):
    """The demo's config resizes to another size than the training did, and has more channels."""
    small = tmp_path / 'small'
    options = ('--size', 64, 96, '--cfg-options', *[o for o in QUICK if 'scale' not in o])
    output(tool('train', DEMO, '--data-root', data, '--work-dir', small, '--seed', 0, *options))
    scores = {}
    for name, words in {'alone': [small], 'config': [DEMO, small / 'epoch_1.pth', '--data-root', data]}.items():
        out = tmp_path / f'{name}.json'
        said = output(tool('test', *words, '--work-dir', tmp_path / name, '--out', out))
        assert ('as ' + str(small / 'epoch_1.pth') + ' was trained' in said) == (name == 'config')
        scores[name] = out.read_text()
    assert scores['alone'] == scores['config']
    picture = min((data / 'val').iterdir())
    output(tool('infer', small / 'epoch_1.pth', picture, '--out', tmp_path / 'seen.json'))
