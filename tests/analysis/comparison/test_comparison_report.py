"""A comparison's table, conclusions and picture, from made-up work_dirs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from support.helpers import REPOSITORY

from se_mm import SeMmError
from se_mm.analysis.comparison.pairs import Network, compared
from se_mm.analysis.comparison.report import as_json, as_markdown
from se_mm.analysis.comparison.runs import runs_in
from se_mm.apis.compare import compare
from se_mm.config.differences import differences
from se_mm.config.load import load_config


def network(folder: Path, name: str, finals, backbone='ResNet', seeds=None) -> Network:
    """Trainings of two epochs whose accuracy at the end is so many per cent."""
    for seed, final in zip(seeds or range(len(finals)), finals, strict=True):
        work_dir = folder / name / f'seed_{seed}'
        work_dir.mkdir(parents=True)
        Config(
            dict(
                model=dict(type='ImageClassifier', backbone=dict(type=backbone, depth=18)),
                train_cfg=dict(max_epochs=2),
                train_dataloader=dict(batch_size=2, dataset=dict(type='CustomDataset')),
                optim_wrapper=dict(optimizer=dict(lr=0.1)),
                randomness=dict(seed=seed),
            )
        ).dump(work_dir / 'config.py')
        entries = [
            {'epoch': i, 'iter': 10 * i, 'accuracy/top1': value, 'error/top1': 100 - value}
            for i, value in ((1, final - 10), (2, final))
        ]
        (work_dir / 'validations.json').write_text(json.dumps(entries))
    return Network(name, *runs_in(folder / name))


def test_the_table_the_conclusion_and_what_it_rests_on(tmp_path):
    plain = network(tmp_path, 'plain', (80.0, 81.0, 79.5))
    se = network(tmp_path, 'se', (82.0, 83.5, 81.25), 'se_mm.SEResNet')
    found = compared([plain, se], 'top1')
    said = as_markdown(found, 'se against plain')
    assert '| plain | 80.00 | 81.00 | 79.50 | 80.17 ± 0.76 |' in said
    # 2, 2.5 and 1.75: 2.083 -+ 4.303 * 0.382 / sqrt(3)
    assert '**Better**: difference +2.08, 95% interval [+1.13, +3.03] (+2.00, +2.50, +1.75).' in said
    assert "the configs differ in: `model.backbone.type` 'ResNet' → 'se_mm.SEResNet'" in said
    assert not found.notes
    plain_data = as_json(found)
    assert plain_data['gains'][0]['sign'] == 1
    assert json.loads(json.dumps(plain_data))['gains'][0]['interval'] == pytest.approx([1.13, 3.03], abs=0.01)


def test_other_data_and_seeds_of_another_config_are_said(tmp_path):
    plain, se = network(tmp_path, 'plain', (80.0, 81.0)), network(tmp_path, 'se', (82.0, 83.5))
    for run in se.runs.values():
        run.cfg.merge_from_dict(
            {'train_dataloader.dataset.data_root': 'other/', 'custom_hooks': [dict(type='EMAHook')]}
        )
    se.runs[1].cfg.merge_from_dict({'optim_wrapper.optimizer.lr': 0.2})
    found = compared([plain, se])
    assert set(found.gains[0].changed) == {'data_root', 'custom_hooks.0.type'}
    assert 'seed_1 differ in more than the seed: `optim_wrapper.optimizer.lr` 0.1 → 0.2' in found.notes[0]


def test_lists_of_sizes_are_compared():
    one, other = (
        Config(dict(train_dataloader=dict(dataset=dict(pipeline=[dict(type='RandomResize', scale=scale)]))))
        for scale in ([(1333, 640), (1333, 800)], [(666, 320), (666, 400)])
    )
    assert list(differences(one, other)) == ['train_dataloader.dataset.pipeline.0.scale']
    assert not differences(one, Config(json.loads(json.dumps(one.to_dict()))))  # lists for tuples


PLAIN = (80.0, 81.0, 79.5)


@pytest.mark.parametrize(
    ('plain', 'se', 'metric', 'said'),
    [
        (PLAIN, (78.0, 79.5, 77.0), 'error/top1', '**More errors**: gain -2.00'),
        (PLAIN, (78.0, 79.5, 77.0), 'error/top1', '| plain | 20.00 | 19.00 | 20.50 |'),
        (PLAIN, (81.0, 80.5, 80.0), None, '**Undecided**'),
        ((0.0,) * 3, (0.0,) * 3, None, '**No result**'),
        ((80.0,), (84.0,), None, '**One pair tells nothing**: +4.00'),
    ],
)
def test_the_conclusion(plain, se, metric, said, tmp_path):
    networks = [network(tmp_path, name, finals) for name, finals in (('plain', plain), ('se', se))]
    assert said in as_markdown(compared(networks, metric), 'title')


@pytest.mark.parametrize(
    ('metric', 'said', 'noted'),
    [
        ('crowd_human/mMR', 'More errors**: gain -4', False),
        ('mine/score', 'Better**: difference +0.0', True),
        ('coco/AR@100', 'Better**: difference +4', False),
    ],
)
def test_whether_less_is_better_is_known_by_the_name_or_said(tmp_path, metric, said, noted):
    networks = [network(tmp_path, name, (80.0, 81.0)) for name in ('plain', 'se')]
    for each, values in zip(networks, ((0.45, 0.46), (0.49, 0.502)), strict=True):
        for seed, value in enumerate(values):
            each.runs[seed].validations[-1] = {'epoch': 2, 'iter': 20, metric: value + 0.001 * seed}
    found = compared(networks, metric)
    assert said in as_markdown(found, 'title')
    assert found.notes.count(f'more of {metric} is taken as better') == noted


def test_two_pairs_that_agree_up_to_rounding_tell_no_spread(tmp_path):
    networks = [network(tmp_path, name, (80.0, 81.0)) for name in ('plain', 'se')]
    for each, values in zip(networks, ((0.370, 0.374), (0.371, 0.376)), strict=True):
        for seed, value in enumerate(values):  # as mmdet logs them
            each.runs[seed].validations[-1] = {'epoch': 2, 'iter': 20, 'coco/bbox_mAP': value}
    found = compared(networks)
    assert '**The spread is not known**: two pairs agree up to rounding (+0.10, +0.20)' in as_markdown(found, 'title')
    (gain,) = as_json(found)['gains']
    assert (gain['interval'], gain['sign']) == (None, 0)


def test_the_published_gain_stands_beside_ours(tmp_path):
    networks = [network(tmp_path, name, (80.0, 81.0)) for name in ('plain', 'se')]
    for each, kind in zip(networks, ('', 'se_'), strict=True):
        for seed, run in each.runs.items():
            run.cfg = load_config(str(REPOSITORY / f'configs/faster_rcnn_{kind}r50_coco.py'))
            run.validations = [{'epoch': 12, 'iter': 1, 'coco/bbox_mAP': 0.37 + 0.01 * seed}]
    found = compared(networks)
    assert '- published: +1.30 (36.4 → 37.7, ECA-Net (CVPR 2020), table 5, 12 epochs)' in as_markdown(found, 'title')
    assert sorted(as_json(found)['gains'][0]['published'].values()) == [1.3, 2.4]


def test_several_networks_are_held_against_the_first(tmp_path):
    networks = [network(tmp_path, name, (80.0 + i, 81.0 + i, 79.0 + 2 * i)) for i, name in enumerate('abc')]
    found = compared(networks)
    assert [entry.name for entry in found.gains] == ['b', 'c']
    assert [entry.pairs.mean for entry in found.gains] == pytest.approx([4 / 3, 8 / 3])
    assert 'of 20 such comparisons without a difference one finds one' in as_markdown(found, 'title')


def test_seeds_that_not_all_have_are_left_out(tmp_path):
    plain, se = network(tmp_path, 'plain', PLAIN), network(tmp_path, 'se', (82.0, 83.0), seeds=(1, 2))
    found = compared([plain, se])
    assert found.seeds == (1, 2)
    assert 'seeds 0 of plain' in found.notes[0]


def test_what_is_not_finished_is_left_out(tmp_path):
    plain, se = (network(tmp_path, name, (80.0, 81.0, 79.5)) for name in ('plain', 'se'))
    validations = se.runs[2].work_dir / 'validations.json'
    validations.write_text(json.dumps(json.loads(validations.read_text())[:1]))
    found = compared([plain, Network('se', *runs_in(tmp_path / 'se'))])
    assert found.seeds == (0, 1)
    assert found.notes[0].endswith('seed_2 is not finished: 1 of 2 epochs; tools/train.py --resume goes on')


def test_no_common_seed_metric_or_object_is_refused(tmp_path):
    plain, se = network(tmp_path, 'plain', (80.0,), seeds=(0,)), network(tmp_path, 'se', (80.0,), seeds=(1,))
    with pytest.raises(SeMmError, match='no seed in common'):
        compared([plain, se])
    with pytest.raises(SeMmError, match='has no metric bbox_mAP'):
        compared([plain, plain], 'bbox_mAP')
    plain.runs[0].validations[-1]['accuracy/top1'] = -1.0
    with pytest.raises(SeMmError, match='no such objects'):
        compared([plain, plain])


def test_the_picture_shows_every_network(tmp_path):
    folders = {name: tmp_path / name for name in ('plain', 'se')}
    for i, name in enumerate(folders):
        network(tmp_path, name, (80.0 + i, 81.0 + i, 79.0 + 2 * i))
    compare(folders, tmp_path)
    picture = cv2.imread(str(tmp_path / 'comparison.png'))
    for blue, green, red in ((180, 119, 31), (14, 127, 255)):  # matplotlib's first two colours
        assert (np.abs(picture.astype(int) - (blue, green, red)).sum(-1) < 6).sum() > 100
