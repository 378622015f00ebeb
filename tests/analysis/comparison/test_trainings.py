"""Which trainings a comparison starts, in which order and with what; nothing is trained."""

from __future__ import annotations

import json
import threading

import pytest
from mmengine.config import Config

from se_mm import SeMmError
from se_mm.analysis.comparison import trainings
from se_mm.analysis.comparison.trainings import Training, run_all, state_of

SETUP = dict(
    model=dict(type='ImageClassifier', backbone=dict(type='ResNet', depth=18)),
    train_cfg=dict(max_epochs=4),
    train_dataloader=dict(batch_size=2, dataset=dict(type='CustomDataset', data_root='here')),
    randomness=dict(seed=0),
)


WEIGHTS = dict(type='Pretrained', checkpoint='a')


def training(folder, seed=0) -> Training:
    return Training('plain', seed, folder / f'seed_{seed}', ('config.py', '--epochs', '4'))


def leave(work_dir, epochs: int) -> None:
    """What a training leaves after so many epochs."""
    work_dir.mkdir(parents=True, exist_ok=True)
    Config(SETUP).dump(work_dir / 'config.py')
    entries = [{'epoch': i + 1, 'iter': i + 1, 'accuracy/top1': 50.0} for i in range(epochs)]
    (work_dir / 'validations.json').write_text(json.dumps(entries))


@pytest.mark.parametrize(('epochs', 'state'), [(None, 'new'), (0, 'interrupted'), (2, 'interrupted'), (4, 'finished')])
def test_what_is_there_is_known(tmp_path, epochs, state):
    one = training(tmp_path)
    if epochs is not None:
        leave(one.work_dir, epochs)
    assert state_of(one, Config(SETUP)) == state


def test_data_elsewhere_and_weights_that_a_resumed_training_no_longer_names_make_no_other_config(tmp_path):
    one = training(tmp_path)
    leave(one.work_dir, 4)
    asked = Config(SETUP)
    asked.merge_from_dict({'train_dataloader.dataset.data_root': 'there', 'model.backbone.init_cfg': WEIGHTS})
    assert state_of(one, asked) == 'finished'
    asked.merge_from_dict({'train_cfg.max_epochs': 8, 'model.backbone.depth': 34})
    with pytest.raises(SeMmError, match='model.backbone.depth is 18 there and 34 here, train_cfg.max_epochs is 4'):
        state_of(one, asked)


def test_a_training_of_other_weights_or_of_data_elsewhere_is_refused(tmp_path):
    one = training(tmp_path)
    for folder in ('here', 'there'):
        (tmp_path / folder).mkdir()
    cfg = Config(SETUP)
    cfg.merge_from_dict({'train_dataloader.dataset.data_root': str(tmp_path / 'here')})
    leave(one.work_dir, 4)
    start = one.work_dir / '20260101_000000/vis_data'
    start.mkdir(parents=True)
    cfg.dump(start / 'config.py')
    assert state_of(one, cfg) == 'finished'
    asked = Config(cfg.to_dict())
    asked.merge_from_dict({'model.backbone.init_cfg': WEIGHTS})
    with pytest.raises(SeMmError, match="model.backbone.init_cfg is None there and 'a' here"):
        state_of(one, asked)
    asked = Config(cfg.to_dict())
    asked.merge_from_dict({'train_dataloader.dataset.data_root': str(tmp_path / 'there')})
    with pytest.raises(SeMmError, match='data_root is .*/here. there and .*/there. here'):
        state_of(one, asked)
    (tmp_path / 'here').rmdir()  # moved
    assert state_of(one, asked) == 'finished'


@pytest.fixture
def started(monkeypatch) -> list:
    """What would have been started."""
    calls = []
    monkeypatch.setattr(trainings, 'start_process', lambda *call: calls.append(call[:2]) or 0)
    return calls


def test_each_is_trained_with_its_seed(tmp_path, started, capsys):
    todo = [training(tmp_path, seed) for seed in (0, 1, 2)]
    run_all(todo, ['new', 'interrupted', 'finished'], jobs=1, gpus=0)
    (first, variables), (second, _) = started
    folder = str(tmp_path / 'seed_0')
    assert first == ['train', 'config.py', '--epochs', '4', '--work-dir', folder, '--seed', '0', '--resume']
    assert variables == {'SE_MM_SEED': '0'}
    assert second[-3:] == ['--seed', '1', '--resume']
    assert [line.rpartition(': ')[2] for line in capsys.readouterr().out.splitlines() if ': took' not in line] == [
        'training',
        'goes on',
        'finished already',
    ]


def test_jobs_have_a_gpu_each(tmp_path, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,6')
    together, used = threading.Barrier(2, timeout=20), []

    def start(arguments, variables, console):
        together.wait()
        used.append(variables['CUDA_VISIBLE_DEVICES'])
        return 0

    monkeypatch.setattr(trainings, 'start_process', start)
    run_all([training(tmp_path, seed) for seed in (0, 1)], ['new', 'new'], jobs=2, gpus=2)
    assert set(used) == {'4', '6'}


def test_one_that_fails_stops_the_others_and_is_named(tmp_path, monkeypatch):
    calls = []

    def start(arguments, variables, console):
        calls.append(arguments)
        console.write_text('loading\nerror: data/coco is not there\n')
        return 2

    monkeypatch.setattr(trainings, 'start_process', start)
    with pytest.raises(SeMmError, match='plain with seed 0 was refused: data/coco is not there .*console.txt'):
        run_all([training(tmp_path, seed) for seed in (0, 1, 2)], ['new'] * 3, jobs=1, gpus=0)
    assert len(calls) == 1
