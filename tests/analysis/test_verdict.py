"""tools/verdict.py on made-up work_dirs of finished trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from support.helpers import REPOSITORY

from se_mm import SeMmError
from se_mm.analysis.runs import read_run
from se_mm.analysis.setup import setup_of
from se_mm.analysis.verdict import judge, protocol_of, report

PLAIN, SE = 'faster_rcnn_r50_coco', 'faster_rcnn_se_r50_coco'
PLAIN_2X, SE_2X = f'{PLAIN}_2x', f'{SE}_2x'
PLACES, SE_PLACES = 'resnet152_places365_challenge', 'se_resnet152_places365_challenge'
CONFIGS: dict[str, Config] = {}


def made_up(folder: Path, config: str, value: float, seed: int = 0, gpus: int | None = None, **changes) -> Path:
    """A work_dir as a finished training of one of our configs leaves it; ``changes`` are dotted keys."""
    if config not in CONFIGS:
        CONFIGS[config] = Config.fromfile(REPOSITORY / f'configs/{config}.py', import_custom_modules=False)
    work_dir = folder / f'{config}_{seed}_{value}'
    work_dir.mkdir()
    cfg = Config(CONFIGS[config].to_dict())
    cfg.merge_from_dict({'randomness': dict(seed=seed), **changes})
    cfg.dump(work_dir / f'{config}.py')
    loop = cfg.train_cfg
    end = {'epoch': loop.max_epochs, 'iter': 1} if 'max_epochs' in loop else {'epoch': 0, 'iter': loop.max_iters}
    metrics = {'error/top1': value} if 'places' in config else {'coco/bbox_mAP': round(value / 100, 3)}
    (work_dir / 'validations.json').write_text(json.dumps([{**end, **metrics}]))
    # 8 GPUs with 2 images are what mmdet's rate is for; the Places365 configs say 32.
    log = work_dir / '20260101_000000' / '20260101_000000.log'
    log.parent.mkdir()
    log.write_text(f'Distributed training: True\n    GPU number: {gpus or 8}\n')
    return work_dir


def said_of(*work_dirs: Path) -> str:
    return report(*judge([read_run(work_dir) for work_dir in work_dirs]))


# The paper's gains are +2.4 of AP in 2x and 0.78 of error on Places365, ECA-Net's +1.3 in 1x; one pair is +-0.5.
@pytest.mark.parametrize(
    ('configs', 'values', 'word'),
    [
        ((PLAIN, SE), (37.4, 39.5), 'Above'),
        ((PLAIN, SE), (37.4, 38.9), 'Inside'),
        ((PLAIN, SE), (37.4, 37.6), 'Below'),
        ((PLAIN_2X, SE_2X), (38.4, 41.5), 'Above'),
        ((PLAIN_2X, SE_2X), (38.4, 40.5), 'Inside'),
        ((PLAIN_2X, SE_2X), (38.4, 39.9), 'Below'),
        ((PLACES, SE_PLACES), (41.0, 39.0), 'Above'),
        ((PLACES, SE_PLACES), (41.0, 40.3), 'Inside'),
        ((PLACES, SE_PLACES), (41.0, 40.9), 'Below'),
    ],
)
def test_the_measured_gain_is_above_inside_or_below_the_published_one(tmp_path, configs, values, word):
    said = said_of(*(made_up(tmp_path, *each) for each in zip(configs, values, strict=True)))
    assert f'**{word}**' in said
    assert 'two more seeds would tell' in said
    assert ('ECA-Net' in said) is (configs == (PLAIN, SE))


def test_with_more_seeds_the_interval_is_theirs(tmp_path):
    plain = [made_up(tmp_path, PLAIN, value, seed) for seed, value in enumerate((37.3, 37.4, 37.5))]
    se = [made_up(tmp_path, SE, value, seed) for seed, value in enumerate((38.1, 38.2, 38.2))]
    said = said_of(*plain, *se)
    # The differences are 0.8, 0.8 and 0.7: 0.77 -+ 4.303 * 0.0577 / sqrt(3).
    assert '**Below**: SE gains less here, +0.77 [+0.62, +0.91], than the +1.30 of ECA-Net' in said
    assert '| measured, seed 2 | 37.50 | 38.20 | +0.70 |' in said


def test_a_seed_is_of_one_training(tmp_path):
    plain = [made_up(tmp_path, PLAIN, 37.4, seed) for seed in (0, 1)]
    se = [made_up(tmp_path, SE, 38.7, seed) for seed in (0, 7)]
    with pytest.warns(UserWarning, match=f'left out, since .*{plain[1].name}, .*{se[1].name}'):
        assert '| measured, seed 0 | 37.40 | 38.70 | +1.30 |' in said_of(*plain, *se)
    with pytest.raises(SeMmError, match='are 7, 7; expected a seed for each and no two alike'):
        said_of(*plain, se[1], made_up(tmp_path, SE, 38.9, 7))


def test_epochs_of_repeated_data_count_as_often(tmp_path):
    dataset = Config.fromfile(REPOSITORY / f'configs/{SE}.py', import_custom_modules=False).train_dataloader.dataset
    thrice = {'train_dataloader.dataset': dict(_delete_=True, type='RepeatDataset', times=3, dataset=dataset)}
    with pytest.raises(SeMmError, match=r'has 36\.0 epochs, for which nothing is published'):
        said_of(made_up(tmp_path, SE, 40.0, **thrice))


def test_different_protocols_are_refused(tmp_path):
    with pytest.raises(SeMmError, match='1x .*2x: only results of one protocol can be compared'):
        said_of(made_up(tmp_path, PLAIN, 37.4), made_up(tmp_path, SE_2X, 40.4))
    with pytest.raises(SeMmError, match='trained on train-challenge and train-standard'):
        said_of(made_up(tmp_path, PLACES, 41.0), made_up(tmp_path, 'se_resnet152_places365', 40.0))
    with pytest.raises(SeMmError, match='differ in more than attention: backbone ResNet-50 and ResNet-101'):
        said_of(made_up(tmp_path, PLAIN, 37.4, 1), made_up(tmp_path, 'faster_rcnn_se_r101_coco', 40.4))


def test_a_schedule_or_data_without_published_figures_is_refused(tmp_path):
    with pytest.raises(SeMmError, match=r'has 6\.0 epochs, for which nothing is published; known are COCO, Faster'):
        said_of(made_up(tmp_path, SE, 30.0, **{'train_cfg.max_epochs': 6}))
    with pytest.raises(SeMmError, match=r'has 3\.1 epochs \(180000 iterations; images a step: 2\)'):
        said_of(made_up(tmp_path, SE_2X, 40.0, gpus=1))
    other = {'train_dataloader.dataset.ann_file': 'annotations/train.json'}
    with pytest.raises(SeMmError, match=r'FasterRCNN on other data \(annotations/train.json, val2017\), for which'):
        said_of(made_up(tmp_path, SE, 31.0, **other))
    with pytest.raises(SeMmError, match='nothing is published for ResNet-34 with SE'):
        said_of(made_up(tmp_path, PLAIN, 32.0, **{'model.backbone.depth': 34}))


def test_a_work_dir_without_a_log_or_before_its_end_is_refused(tmp_path):
    work_dir = made_up(tmp_path, SE, 38.0)
    validations = work_dir / 'validations.json'
    validations.write_text(json.dumps([{'epoch': 7, 'iter': 1, 'coco/bbox_mAP': 0.3}]))
    with pytest.raises(SeMmError, match='is not finished: 7 of 12 epochs; tools/train.py --resume goes on'):
        said_of(work_dir)
    validations.unlink()
    with pytest.raises(SeMmError, match='has no log of a validation'):
        said_of(work_dir)
    (work_dir / f'{SE}.py').unlink()
    with pytest.raises(SeMmError, match=r'holds no config \(\*.py\)'):
        said_of(work_dir)


def test_mmengines_own_log_will_do(tmp_path):
    ours, theirs = made_up(tmp_path, PLAIN, 37.4), made_up(tmp_path, SE, 38.7)
    (theirs / 'validations.json').unlink()
    scalars = theirs / '20260101_000000/vis_data/scalars.json'
    scalars.parent.mkdir(parents=True)
    lines = [{'lr': 0.02, 'loss': 0.5, 'epoch': 12, 'step': 87960}, {'coco/bbox_mAP': 0.387, 'time': 0.1, 'step': 12}]
    scalars.write_text('\n'.join(map(json.dumps, lines)))
    assert '**Inside**: the measured gain +1.30' in said_of(ours, theirs)


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
    plain, se = made_up(tmp_path, PLAIN_2X, 38.4), made_up(tmp_path, SE_2X, 40.6)
    for work_dir, value in ((plain, 0.384), (se, 0.406)):
        lines = [
            line
            for iteration, ap in ((60_000, 0.3), (120_000, 0.35), (180_000, value))
            for line in (
                {'lr': 0.02, 'loss': 0.5, 'iter': iteration - 10, 'step': iteration - 10},
                {'coco/bbox_mAP': ap, 'step': 0},
            )
        ]
        logged_by_mmengine(work_dir, '20260101_000000', lines, **{'train_cfg.val_interval': 60_000})
    assert [entry['iter'] for entry in read_run(se).validations] == [60_000, 120_000, 180_000]
    assert '**Inside**: the measured gain +2.20' in said_of(plain, se)


@pytest.mark.parametrize('logs_each', [50, 7_000])
def test_iterations_that_a_resumed_training_repeats_count_once(tmp_path, logs_each):
    work_dir = made_up(tmp_path, SE_2X, 40.0)
    loop = {'train_cfg.max_iters': 30_000, 'train_cfg.val_interval': 5_000}

    def start(time: str, first: int, end: int, resume: bool) -> None:
        lines = []
        for step in range(first + 1, end + 1):  # as mmengine: the logger comes before the validation
            lines += [{'lr': 0.02, 'loss': 0.5, 'step': step}] * (step % logs_each == 0)
            lines += [{'coco/bbox_mAP': step / 1e6, 'step': 0}] * (step % 5_000 == 0)  # which tells the iteration
        logged_by_mmengine(work_dir, time, lines, resume=resume, **loop)

    def said() -> list[tuple[int, float]]:
        return [(entry['iter'], entry['coco/bbox_mAP'] * 1e6) for entry in read_run(work_dir).validations]

    start('20260101_000000', 0, 17_000, resume=False)
    start('20260102_000000', 10_000, 25_000, resume=True)  # its last checkpoint was before the last validation
    assert said() == [(step, step) for step in range(5_000, 25_001, 5_000)]
    assert not read_run(work_dir).is_finished
    start('20260103_000000', 24_000, 30_000, resume=True)
    assert said() == [(step, step) for step in range(5_000, 30_001, 5_000)]
    assert read_run(work_dir).is_finished


def test_an_evaluation_in_the_same_folder_changes_nothing(tmp_path):
    twice = {'train_cfg.max_epochs': 24}
    plain, se = made_up(tmp_path, PLAIN, 38.0, **twice), made_up(tmp_path, SE, 40.2, **twice)
    for work_dir, value in ((plain, 0.38), (se, 0.402)):
        logged_by_mmengine(work_dir, '20260101_000000', epochs(24, value))
        logged_by_mmengine(work_dir, '20260102_000000', [], **{'train_cfg.max_epochs': 12, 'load_from': 'epoch_24.pth'})
    said = said_of(plain, se)
    assert 'COCO, Faster R-CNN, 2x' in said
    assert '**Inside**' in said
    assert 'epoch_24.pth' not in said


def test_of_several_trainings_in_one_folder_the_last_counts(tmp_path):
    work_dir = made_up(tmp_path, SE, 38.7)
    logged_by_mmengine(work_dir, '20260101_000000', epochs(12, 0.387))
    (work_dir / '20260101_000000/20260101_000000.log').write_text('GPU number: 1')
    logged_by_mmengine(work_dir, '20260102_000000', epochs(12, 0.380))
    (work_dir / '20260102_000000/20260102_000000.log').write_text('GPU number: 8')
    run = read_run(work_dir)
    assert (run.figure('coco/bbox_mAP'), run.batch_size) == (38.0, 16)
    logged_by_mmengine(work_dir, '20260103_000000', epochs(5, 0.2))
    with pytest.raises(SeMmError, match='is not finished: 5 of 12 epochs'):
        said_of(work_dir)
    logged_by_mmengine(work_dir, '20260104_000000', epochs(12, 0.381)[10:], resume=True)
    assert read_run(work_dir).figure('coco/bbox_mAP') == 38.1
    logged_by_mmengine(work_dir, '20260105_000000', epochs(24, 0.4))
    with pytest.raises(SeMmError, match='validated after 24 epochs, and its config has 12'):
        said_of(work_dir)


def test_a_line_that_was_cut_off_with_the_training_is_left_out(tmp_path):
    work_dir = made_up(tmp_path, SE, 38.7)
    vis_data = logged_by_mmengine(work_dir, '20260101_000000', epochs(12, 0.387))
    with (vis_data / 'scalars.json').open('a') as file:
        file.write('{"coco/bb')
    assert read_run(work_dir).is_finished
    (vis_data / 'config.py').write_text('model = dict(\n')  # the other copy is whole
    assert read_run(work_dir).is_finished


@pytest.mark.parametrize(
    ('change', 'why'),
    [
        ({'train_dataloader.dataset.indices': 1000}, r'a part of CocoDataset \(indices\)'),
        ({'train_dataloader.dataset.ann_file': 'annotations/mini_instances_train2017.json'}, 'other data'),
        ({'model.roi_head.bbox_head.num_classes': 2}, r'other data \(train2017, val2017, of 2 classes\)'),
        (
            {'val_dataloader.dataset.metainfo': dict(classes=('person',))},
            r'other data \(train2017, val2017, of 1 classes',
        ),
    ],
)
def test_coco_is_known_by_its_files_and_its_classes(tmp_path, change, why):
    with pytest.raises(SeMmError, match=f'FasterRCNN on {why}'):
        said_of(made_up(tmp_path, SE, 38.7, **change))


@pytest.mark.parametrize(
    ('change', 'network'),
    [
        ({'model.backbone.type': 'mmdet.ResNeXt', 'model.backbone.groups': 32}, 'ResNeXt-50 32x4d'),
        ({'model.backbone.type': 'mmdet.Res2Net'}, 'Res2Net-50'),
        ({'model.backbone.dcn': dict(type='DCN')}, 'ResNet-50 with dcn'),
    ],
)
def test_another_network_is_not_judged_by_a_resnet(tmp_path, change, network):
    with pytest.raises(SeMmError, match=f'nothing is published for {network} with SE; known are ResNet-101 with ECA'):
        said_of(made_up(tmp_path, PLAIN, 38.7, **change))


def test_a_backbone_whose_attention_is_in_no_stage_is_plain(tmp_path):
    plain = made_up(tmp_path, SE, 37.4, **{'model.backbone.attention_stages': ()})
    assert '**Inside**: the measured gain +1.30' in said_of(plain, made_up(tmp_path, SE, 38.7))


def test_a_number_of_gpus_that_is_not_known_is_not_made_up(tmp_path):
    work_dirs = made_up(tmp_path, PLAIN_2X, 38.4), made_up(tmp_path, SE_2X, 40.4)
    for work_dir in work_dirs:
        next(work_dir.glob('*/*.log')).unlink()
    assert '| 2 a GPU, number of GPUs not known; 16 is assumed | 2 a GPU' in said_of(*work_dirs)


def test_a_scaled_learning_rate_is_that_which_was_used(tmp_path):
    scaled = {'auto_scale_lr': dict(enable=True, base_batch_size=16)}
    said = said_of(
        *(made_up(tmp_path, config, value, gpus=4, **scaled) for config, value in ((PLAIN, 36.4), (SE, 37.7)))
    )
    assert '| learning rate |' not in said  # 4 GPUs with 2 images: ECA-Net's 0.01


@pytest.mark.parametrize(('hooks', 'rate'), [([], '0.01'), ([dict(type='se_mm.CurvesHook')], '0.02')])
def test_a_learning_rate_is_scaled_with_the_accumulation_by_our_tool_alone(hooks, rate, tmp_path):
    """4 GPUs with 2 images, 2 of which batches make a step, at 0.02 for 16."""
    options = {'auto_scale_lr': dict(enable=True, base_batch_size=16), 'optim_wrapper.accumulative_counts': 2}
    run = read_run(made_up(tmp_path, PLAIN, 36.4, gpus=4, custom_hooks=hooks, **options))
    assert setup_of(run)['learning rate'] == rate


def test_a_gain_that_is_logged_as_the_published_one_is_inside(tmp_path):
    for values in ((37.4, 37.5, 37.7), (39.4, 38.2, 36.7)):
        folder = tmp_path / str(values[0])
        folder.mkdir()
        plain = [made_up(folder, PLAIN, value, seed) for seed, value in enumerate(values)]
        se = [made_up(folder, SE, round(value + 1.3, 1), seed) for seed, value in enumerate(values)]
        assert '**Inside**: the measured gain +1.30 [+1.20, +1.40]' in said_of(*plain, *se)
        said = said_of(*plain[:2], *se[:2])
        assert '+1.30 [+0.80, +1.80]' in said
        assert 'Two pairs that agree up to rounding have no spread: ±0.5 is assumed' in said
    assert '**Inside**' in said_of(made_up(tmp_path, PLAIN, 37.4), made_up(tmp_path, SE, 39.2))  # +1.8 -+ 0.5


def test_what_else_differs_between_plain_and_se_or_between_seeds_is_listed(tmp_path):
    plain = [made_up(tmp_path, PLAIN, value, seed) for seed, value in enumerate((37.3, 37.4))]
    other = {'model.neck.out_channels': 128, 'model.backbone.attention_stages': [3]}
    se = [made_up(tmp_path, SE, 38.6, 0, **other)]
    se += [made_up(tmp_path, SE, 38.7, 1, **other, **{'optim_wrapper.optimizer.lr': 0.001})]
    said = said_of(*plain, *se)
    assert '`model.neck.out_channels` 256 → 128' in said
    assert '`model.backbone.attention_stages` None → [3]' in said
    assert 'differ in more than the seed: `optim_wrapper.optimizer.lr` 0.02 → 0.001.' in said


def test_one_training_alone_is_shown_beside_the_published_pair(tmp_path):
    said = said_of(made_up(tmp_path, SE, 38.1))
    assert '| measured, seed 0 |  | 38.10 |  |' in said
    assert 'No verdict on ECA-Net' in said


def test_what_differs_in_the_set_up_is_read_from_the_config_and_the_log(tmp_path):
    said = said_of(made_up(tmp_path, PLAIN, 37.4), made_up(tmp_path, SE, 38.6, gpus=4))
    assert '| images a step | 16 | 8 | 8 |' in said
    assert '| learning rate | 0.02 | 0.02 | 0.01 |' in said
    assert '| style | pytorch | caffe | not stated |' in said
    assert '| weights | torchvision://resnet50 | timm://legacy_seresnet50.in1k | of ImageNet, their own |' in said
    assert '| epochs |' not in said


def test_a_resumed_training_started_from_the_weights_of_its_first_start(tmp_path):
    plain, se = made_up(tmp_path, PLAIN, 37.4), made_up(tmp_path, SE, 38.6)
    start = se / '20260101_000000/vis_data/config.py'
    start.parent.mkdir(parents=True)
    (se / f'{SE}.py').rename(start)
    resumed = Config.fromfile(start, import_custom_modules=False)
    resumed.merge_from_dict({'model.backbone.init_cfg': None, 'resume': True, 'load_from': str(se / 'epoch_3.pth')})
    resumed.dump(se / f'{SE}.py')
    assert '| timm://legacy_seresnet50.in1k |' in said_of(plain, se)


@pytest.mark.parametrize(
    'config', [PLAIN_2X, 'faster_rcnn_r50_a1_coco', 'faster_rcnn_se_r50_4x2_coco', 'mask_rcnn_se_r50_coco']
)
def test_the_protocols_of_our_configs_are_known(tmp_path, config):
    name = protocol_of(read_run(made_up(tmp_path, config, 38.0))).name
    assert ('2x' in name) is ('2x' in config)
    assert ('Mask' in name) is ('mask' in config)
