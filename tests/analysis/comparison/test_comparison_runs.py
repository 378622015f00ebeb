"""Trainings as they are read from made-up work_dirs of our tools and of mmengine's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from support.helpers import REPOSITORY

from se_mm import SeMmError
from se_mm.analysis.comparison.runs import Run, read_run, runs_in

SE, SE_2X = 'faster_rcnn_se_r50_coco', 'faster_rcnn_se_r50_coco_2x'


def made_up(folder: Path, config: str, value: float, seed: int = 0, **changes) -> Path:
    """A work_dir as a finished training of one of our configs leaves it; ``changes`` are dotted keys."""
    cfg = Config.fromfile(REPOSITORY / f'configs/{config}.py', import_custom_modules=False)
    work_dir = folder / f'{config}_{seed}_{value}'
    work_dir.mkdir()
    cfg.merge_from_dict({'randomness': dict(seed=seed), **changes})
    cfg.dump(work_dir / f'{config}.py')
    loop = cfg.train_cfg
    end = {'epoch': loop.max_epochs, 'iter': 1} if 'max_epochs' in loop else {'epoch': 0, 'iter': loop.max_iters}
    (work_dir / 'validations.json').write_text(json.dumps([{**end, 'coco/bbox_mAP': round(value / 100, 3)}]))
    return work_dir


def finished(work_dir: Path) -> Run:
    run = read_run(work_dir)
    run.check_finished()
    return run


def test_a_work_dir_without_a_log_or_before_its_end_is_refused(tmp_path):
    work_dir = made_up(tmp_path, SE, 38.0)
    validations = work_dir / 'validations.json'
    validations.write_text(json.dumps([{'epoch': 7, 'iter': 1, 'coco/bbox_mAP': 0.3}]))
    with pytest.raises(SeMmError, match='is not finished: 7 of 12 epochs; tools/train.py --resume goes on'):
        finished(work_dir)
    validations.unlink()
    with pytest.raises(SeMmError, match='has no log of a validation'):
        finished(work_dir)
    (work_dir / f'{SE}.py').write_text('model = dict(\n')
    with pytest.raises(SeMmError, match='cannot be read'):
        read_run(work_dir)
    (work_dir / f'{SE}.py').unlink()
    assert read_run(work_dir) is None


def test_a_seed_is_of_one_training(tmp_path):
    for value in (38.0, 38.1):
        made_up(tmp_path, SE, value, seed=7)
    with pytest.raises(SeMmError, match='have the same seed, 7'):
        runs_in(tmp_path)


def logged_by_mmengine(work_dir: Path, time: str, lines: list[dict], **changes) -> Path:
    """A start of mmengine's own tools in a work_dir: its config, also beside the checkpoints, and its metrics."""
    cfg = Config.fromfile(next(work_dir.glob('*.py')), import_custom_modules=False)
    cfg.merge_from_dict(changes)
    vis_data = work_dir / time / 'vis_data'
    vis_data.mkdir(parents=True, exist_ok=True)
    cfg.dump(vis_data / 'config.py')
    cfg.dump(next(work_dir.glob('*.py')))
    (work_dir / 'validations.json').unlink(missing_ok=True)
    if lines:
        (vis_data / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return vis_data


def epochs(count: int, last: float) -> list[dict]:
    """Lines of a training over epochs whose AP is so much at the end."""
    return [
        line
        for epoch in range(1, count + 1)
        for line in (
            {'lr': 0.02, 'loss': 0.5, 'epoch': epoch, 'iter': 100 * epoch, 'step': 100 * epoch},
            {'coco/bbox_mAP': last if epoch == count else 0.2, 'time': 0.1, 'step': epoch},
        )
    ]


def test_a_loop_over_iterations_logs_each_validation_with_epoch_0(tmp_path):
    work_dir = made_up(tmp_path, SE_2X, 40.6)
    lines = [
        line
        for iteration, ap in ((60_000, 0.3), (120_000, 0.35), (180_000, 0.406))
        for line in (
            {'lr': 0.02, 'loss': 0.5, 'iter': iteration - 10, 'step': iteration - 10},
            {'coco/bbox_mAP': ap, 'step': 0},
        )
    ]
    logged_by_mmengine(work_dir, '20260101_000000', lines, **{'train_cfg.val_interval': 60_000})
    run = finished(work_dir)
    assert run.curve('coco/bbox_mAP') == pytest.approx({60_000: 30.0, 120_000: 35.0, 180_000: 40.6})


def test_iterations_that_a_resumed_training_repeats_count_once(tmp_path):
    work_dir = made_up(tmp_path, SE_2X, 40.0)
    loop = {'train_cfg.max_iters': 30_000, 'train_cfg.val_interval': 5_000}

    def start(time: str, first: int, end: int, resume: bool) -> None:
        lines = []
        for step in range(first + 1, end + 1):  # as mmengine: the logger comes before the validation
            lines += [{'lr': 0.02, 'loss': 0.5, 'step': step}] * (step % 500 == 0)
            lines += [{'coco/bbox_mAP': step / 1e6, 'step': 0}] * (step % 5_000 == 0)  # which tells the iteration
        logged_by_mmengine(work_dir, time, lines, resume=resume, **loop)

    def said() -> list[tuple[int, float]]:
        return [(entry['iter'], entry['coco/bbox_mAP'] * 1e6) for entry in read_run(work_dir).validations]

    start('20260101_000000', 0, 17_000, resume=False)
    start('20260102_000000', 10_000, 25_000, resume=True)  # its last checkpoint was before the last validation
    assert said() == [(step, step) for step in range(5_000, 25_001, 5_000)]
    assert read_run(work_dir).done == 25_000
    start('20260103_000000', 24_000, 30_000, resume=True)
    assert said() == [(step, step) for step in range(5_000, 30_001, 5_000)]
    finished(work_dir)


def test_an_evaluation_in_the_same_folder_changes_nothing(tmp_path):
    work_dir = made_up(tmp_path, SE, 40.2, **{'train_cfg.max_epochs': 24})
    logged_by_mmengine(work_dir, '20260101_000000', epochs(24, 0.402))
    logged_by_mmengine(work_dir, '20260102_000000', [], **{'train_cfg.max_epochs': 12, 'load_from': 'epoch_24.pth'})
    run = finished(work_dir)
    assert (run.length, run.figure('coco/bbox_mAP')) == (24, 40.2)
    assert 'load_from' not in run.weights


def test_of_several_trainings_in_one_folder_the_last_counts(tmp_path):
    work_dir = made_up(tmp_path, SE, 38.7)
    logged_by_mmengine(work_dir, '20260101_000000', epochs(12, 0.387))
    logged_by_mmengine(work_dir, '20260102_000000', epochs(12, 0.380))
    assert read_run(work_dir).figure('coco/bbox_mAP') == 38.0
    logged_by_mmengine(work_dir, '20260103_000000', epochs(5, 0.2))
    with pytest.raises(SeMmError, match='is not finished: 5 of 12 epochs'):
        finished(work_dir)
    logged_by_mmengine(work_dir, '20260104_000000', epochs(12, 0.381)[10:], resume=True)
    assert read_run(work_dir).figure('coco/bbox_mAP') == 38.1
    logged_by_mmengine(work_dir, '20260105_000000', epochs(24, 0.4))
    with pytest.raises(SeMmError, match='files of two trainings'):
        finished(work_dir)


def test_a_line_that_was_cut_off_with_the_training_is_left_out(tmp_path):
    work_dir = made_up(tmp_path, SE, 38.7)
    vis_data = logged_by_mmengine(work_dir, '20260101_000000', epochs(12, 0.387))
    with (vis_data / 'scalars.json').open('a') as file:
        file.write('{"coco/bb')
    finished(work_dir)
    (vis_data / 'config.py').write_text('model = dict(\n')  # the other copy is whole
    finished(work_dir)


def test_a_resumed_training_started_from_the_weights_of_its_first_start(tmp_path):
    work_dir = made_up(tmp_path, SE, 38.6)
    logged_by_mmengine(work_dir, '20260101_000000', epochs(3, 0.3))
    resumed = {'model.backbone.init_cfg': None, 'resume': True, 'load_from': 'epoch_3.pth'}
    logged_by_mmengine(work_dir, '20260102_000000', epochs(12, 0.387)[6:], **resumed)
    assert list(finished(work_dir).weights.values()) == ['timm://legacy_seresnet50.in1k']
