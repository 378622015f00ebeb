"""A training that was killed and resumed is the one that was not, bit for bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import IterBasedTrainLoop
from support.faults import sha256_of_training
from support.small import run, scene_config
from support.small import train_with as train
from support.small import trained_with as trained
from test_data_faults import BOXES

from se_mm.engine.hooks.preemption import PREEMPTED_STATUS, PreemptionHook
from se_mm.errors import INTERRUPTED
from se_mm.weights.files import read_checkpoint

EPOCHS = f"""{BOXES}
custom_imports = dict(imports=['se_mm', 'support.faults'], allow_failed_imports=False)
train_cfg = dict(max_epochs=3, val_interval=2)
default_hooks = dict(checkpoint=dict({{checkpoint}}, save_best=None))
custom_hooks = [dict(type='LeaveState'), {{fault}}]
"""
ITERATIONS = """
_base_ = '{repository}/configs/demo/se_resnet18_scenes.py'
custom_imports = dict(imports=['se_mm', 'support.faults'], allow_failed_imports=False)
classes = ('left', 'right')
model = dict(
    data_preprocessor=dict(num_classes=2), backbone=dict(base_channels=16, stem_channels=16),
    head=dict(num_classes=2, in_channels=128, topk=(1,)),
)
train_dataloader = dict(
    batch_size=4, num_workers={workers}, persistent_workers={workers} > 0,
    dataset=dict(metainfo=dict(classes=classes)), sampler=dict(type='{sampler}', shuffle=True),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(metainfo=dict(classes=classes)))
val_evaluator = dict(_delete_=True, type='Accuracy')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=12, val_interval=7)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=12, by_epoch=False)]
default_hooks = dict(checkpoint=dict(by_epoch=False, {checkpoint}, save_best=None))
custom_hooks = [dict(type='LeaveState'), {fault}]
"""
fault = pytest.mark.fault
KILLED = -signal.SIGKILL
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def sha256(work_dir: Path) -> str:
    return sha256_of_training(work_dir, 'iter_12.pth')


def validations(work_dir: Path) -> list[dict]:
    return json.loads((work_dir / 'validations.json').read_text())


@pytest.fixture(scope='module')
def whole(scenes, tmp_path_factory) -> str:
    work_dir = tmp_path_factory.mktemp('whole') / 'whole'
    trained(ITERATIONS, scenes, work_dir, '--seed', '3')
    return sha256(work_dir)


@pytest.mark.soak
@fault('SIGKILL after an iteration, 5 random ones, average and accumulated gradients', 'same sha256 in 5 of 5')
def test_killed_in_an_epoch(shapes, tmp_path):
    every = 'interval=2, by_epoch=False, max_keep_ckpts=2'
    switches = ('--ema', '0.1', '--accumulate', '3')  # 15 iterations, 3 epochs of 5: gradients cross the epochs
    trained(EPOCHS, shapes, tmp_path / 'whole', '--seed', '3', *switches, checkpoint=every)
    expected = sha256_of_training(tmp_path / 'whole', 'iter_15.pth')
    found = []
    for point in random.Random(0).sample(range(3, 16), 5):
        work_dir = tmp_path / f'killed_{point}'
        killer = f"dict(type='SignalAt', iteration={point})"
        killed = train(EPOCHS, shapes, work_dir, '--seed', '3', *switches, checkpoint=every, fault=killer, fresh=True)
        assert killed.returncode == KILLED
        trained(EPOCHS, shapes, work_dir, '--resume', *switches, checkpoint=every, workers=0)  # any number of workers
        found.append(sha256_of_training(work_dir, 'iter_15.pth'))
    assert found == [expected] * 5


SAVED = 'saved after that iteration, status {}; same sha256'
INTERRUPTION = "dict(type='SignalAt', iteration=7, number={}, group=True)"


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        pytest.param(
            ('interval=4, max_keep_ckpts=1', "dict(type='SignalAt', iteration=7)"),
            (KILLED, '', ['iter_4.pth'], 4),
            marks=fault('SIGKILL between two checkpoints', 'same sha256 as not killed'),
        ),
        pytest.param(
            ('interval=1, max_keep_ckpts=1', "dict(type='DieWhileSaving', iteration=6)"),
            (KILLED, '', ['iter_5.pth', 'iter_6.pth.*.part'], 5),
            marks=[
                pytest.mark.soak,
                fault('SIGKILL while a checkpoint is written', 'the one before it is whole and used; same sha256'),
            ],
        ),
        pytest.param(
            ('interval=100', INTERRUPTION.format(15)),
            (PREEMPTED_STATUS, 'SIGTERM: iteration 7 is saved to', ['preempted.pth'], 7),
            marks=fault('SIGTERM in an epoch (pre-emption)', SAVED.format(75)),
        ),
        pytest.param(
            ('interval=100', INTERRUPTION.format(2)),
            (INTERRUPTED, 'Ctrl-C: iteration 7 is saved to', ['preempted.pth'], 7),
            marks=fault('Ctrl-C to the whole process group', SAVED.format(130)),
        ),
        pytest.param(
            ('interval=1, max_keep_ckpts=1', "dict(type='FilesOfAtMost', size=100_000, iteration=4)"),
            (2, 'iter_5.pth cannot be written', ['iter_4.pth'], 4),
            marks=fault(
                'the disk is full (a limit on the size of files) when a checkpoint is written', 'one message, status 2'
            ),
        ),
    ],
)
def test_a_training_that_is_cut_off_goes_on_as_if_it_was_not(given, expected, scenes, whole, tmp_path):
    every, killer = given
    status, message, left, iteration = expected
    folder = tmp_path / 'a'
    stopped = train(ITERATIONS, scenes, folder, '--seed', '3', checkpoint=every, fault=killer)
    said = stopped.stdout + stopped.stderr
    assert stopped.returncode == status, said[-2000:]
    assert message in said
    assert 'Traceback' not in said
    assert (folder / 'curves.png').is_file() or status in (2, KILLED)
    files = sorted(file.name for file in folder.glob('*.pth*'))
    assert all(fnmatch(file, pattern) for file, pattern in zip(files, left, strict=True))
    workers = 2 if status == KILLED else 0  # any number of them
    said = trained(ITERATIONS, scenes, folder, '--resume', checkpoint=every, workers=workers)
    assert f'iter: {iteration}' in said
    assert sha256(folder) == whole
    assert not list(folder.glob('*.part'))


def test_with_other_batches_an_epoch_has_another_length(scenes, tmp_path, capsys):
    def config(epochs: int, batch_size: int):
        cfg = scene_config(scenes, tmp_path / f'{epochs}')
        cfg.train_cfg = dict(max_epochs=epochs, val_interval=10)
        cfg.train_dataloader.update(batch_size=batch_size, sampler=dict(type='DefaultSampler', shuffle=True))
        cfg.default_hooks.checkpoint.update(by_epoch=True, interval=1)
        return cfg

    first = run(config(1, 4))
    cfg = config(2, 2)
    cfg.update(resume=True, load_from=str(tmp_path / '1' / 'epoch_1.pth'))
    cfg.optim_wrapper.accumulative_counts = 3  # the optimizer wrapper counts to the end
    second = run(cfg)
    assert len(second.train_dataloader) > len(first.train_dataloader)
    assert second.iter == second.max_iters == len(first.train_dataloader) + len(second.train_dataloader)
    assert f'the training ends at iteration {second.iter}' in ''.join(capsys.readouterr())


@fault('a checkpoint that is cut off (of another tool, a full disk)', 'named and passed over; same sha256')
def test_a_torn_checkpoint_is_passed_over(scenes, whole, tmp_path):
    keep = 'interval=3, max_keep_ckpts=3'
    killer = "dict(type='DieWhileSaving', iteration=9, in_place=True)"
    assert train(ITERATIONS, scenes, tmp_path / 'a', '--seed', '3', checkpoint=keep, fault=killer).returncode == KILLED
    (tmp_path / 'a' / 'last_checkpoint').write_text(str(tmp_path / 'a' / 'iter_9.pth'))
    said = trained(ITERATIONS, scenes, tmp_path / 'a', '--resume', checkpoint=keep)
    assert 'iter_9.pth is passed over: ' in said
    assert 'damaged or cut off' in said
    assert 'iter: 6' in said
    assert sha256(tmp_path / 'a') == whole


@fault("SIGTERM in a validation of averaged weights and of the others (mmpretrain's EMAHook)", 'saved, status 75')
@pytest.mark.parametrize(
    ('batches', 'averages'), [(1, dict(evaluate_on_origin=True)), (3, dict(evaluate_on_origin=True)), (1, {})]
)
def test_terminated_in_a_validation_of_both_weights(batches, averages, scenes, tmp_path):
    """The set has 4 pictures: two batches with the averaged weights, then two with the others."""
    hooks = [
        dict(type='EMAHook', momentum=0.1, **averages),
        dict(type='SignalInValidation', number=int(signal.SIGTERM), after=batches),
    ]
    options = {'train_cfg.val_interval': 3, 'default_hooks.checkpoint.interval': 3, 'val_dataloader.batch_size': 2}
    handlers = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(SystemExit) as left:
        run(scene_config(scenes, tmp_path, 4, hooks=hooks, **options))
    assert left.value.code == PREEMPTED_STATUS
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    saved, regular = (read_checkpoint(tmp_path / name) for name in ('preempted.pth', 'iter_3.pth'))
    for part in ('state_dict', 'ema_state_dict'):
        assert all(torch.equal(value, regular[part][name]) for name, value in saved[part].items())
    assert not torch.equal(saved['state_dict']['head.fc.weight'], saved['ema_state_dict']['module.head.fc.weight'])


@fault('SIGTERM to a process that a metric has forked (mmdet ends those of VOCMetric so)', 'it ends')
def test_forks_end_on_sigterm():
    before = [signal.getsignal(number) for number in SIGNALS]
    hook = PreemptionHook()
    hook.before_run(SimpleNamespace(_train_loop=object.__new__(IterBasedTrainLoop)))
    try:
        forks = [multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,)) for _ in range(20)]
        for fork in forks:
            fork.start()
            fork.terminate()  # most have not begun yet
        for fork in forks:
            fork.join(10)
        assert [fork.exitcode for fork in forks] == [-signal.SIGTERM] * 20
        fork = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))
        fork.start()
        os.kill(fork.pid, signal.SIGINT)  # Ctrl-C goes to all processes of a terminal: what they do is finished first
        fork.join(0.5)
        assert fork.is_alive()
        fork.terminate()
        fork.join(10)
        assert fork.exitcode == -signal.SIGTERM
        os.kill(os.getpid(), signal.SIGTERM)
        assert hook.asked == signal.SIGTERM
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)


def test_a_second_ctrl_c_quits_at_once(monkeypatch):
    now = iter([100.0, 100.4, 103.0])
    monkeypatch.setattr('se_mm.engine.hooks.preemption.time.monotonic', lambda: next(now))
    hook = PreemptionHook()
    hook._ask(signal.SIGINT, None)
    hook._ask(signal.SIGINT, None)  # the same key, passed on by a launcher
    with pytest.raises(KeyboardInterrupt):
        hook._ask(signal.SIGINT, None)


@fault('the work_dir is a file', 'one message, status 2')
@fault('the work_dir is on a read-only file system', 'one message, status 2')
def test_a_work_dir_that_cannot_be_written_to(scenes, tmp_path):
    (tmp_path / 'a').write_text('')
    for work_dir in (tmp_path / 'a', Path('/proc/se_mm/a')):
        done = train(ITERATIONS, scenes, work_dir, file=tmp_path / 'config.py')
        assert done.returncode == 2
        assert f'error: work_dir {work_dir} cannot be written to' in done.stderr
        assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(
    ('seed', 'sampler'),
    [
        pytest.param(
            (),
            'InfiniteSampler',
            marks=fault(
                'no seed was given, and the training is killed',
                'the seed is in the checkpoint: the data go on in order',
            ),
        ),
        pytest.param(
            ('--seed', '1'),
            'DefaultSampler',
            marks=[
                pytest.mark.soak,
                fault('SIGKILL, batches of a sampler with epochs in a loop of iterations', 'same sha256'),
            ],
        ),
    ],
)
def test_the_data_go_on_in_order(seed, sampler, scenes, tmp_path):
    options = dict(sampler=sampler, checkpoint='interval=4, max_keep_ckpts=5')
    trained(ITERATIONS, scenes, tmp_path / 'whole', *seed, **options)
    shutil.copytree(tmp_path / 'whole', tmp_path / 'half')
    for name in ('iter_8.pth', 'iter_12.pth', 'last_checkpoint'):
        (tmp_path / 'half' / name).unlink()
    assert 'iter: 4' in trained(ITERATIONS, scenes, tmp_path / 'half', '--resume', **options)
    assert sha256(tmp_path / 'half') == sha256(tmp_path / 'whole')


@pytest.mark.soak
@fault('SIGTERM in a validation, with averaged weights', 'saved, status 75; resumed with that validation')
def test_terminated_in_a_validation(shapes, tmp_path):
    switches = ('--ema', '0.1')
    trained(EPOCHS, shapes, tmp_path / 'whole', '--seed', '3', *switches)
    killer = f"dict(type='SignalInValidation', number={int(signal.SIGTERM)})"
    stopped = train(EPOCHS, shapes, tmp_path / 'a', '--seed', '3', *switches, fault=killer)
    assert stopped.returncode == PREEMPTED_STATUS, stopped.stderr[-2000:]
    said = trained(EPOCHS, shapes, tmp_path / 'a', '--resume', *switches)
    assert 'iteration 10 was not validated before the training was cut off' in said
    assert sha256_of_training(tmp_path / 'a', 'epoch_3.pth') == sha256_of_training(tmp_path / 'whole', 'epoch_3.pth')
    assert validations(tmp_path / 'whole') == validations(tmp_path / 'a')


PLATEAU = """
param_scheduler = [
    dict(type='ReduceOnPlateauLR', monitor='accuracy/top1', rule='greater', threshold=1000, patience=0, factor=0.5)
]
train_cfg = dict({validations})
"""


@pytest.mark.parametrize(
    ('intervals', 'saved', 'killer', 'before', 'after'),
    [
        pytest.param(
            'val_interval=3',
            3,
            "dict(type='SignalAt', iteration=8)",
            [3, 6],
            [3, 6, 9, 12],
            marks=fault(
                'SIGKILL after a validation that lowered the learning rate, before the next checkpoint',
                'that validation is repeated; same sha256, learning rate included',
            ),
        ),
        pytest.param(
            'dynamic_intervals=[(2, 4)]',  # 7, and 4 from iteration 2 on
            4,
            f"dict(type='SignalInValidation', number={int(signal.SIGKILL)})",
            None,
            [4, 8, 12],
            marks=[
                pytest.mark.soak,
                fault(
                    'SIGKILL in a validation, at intervals that change', 'that validation is made up for; same sha256'
                ),
            ],
        ),
    ],
)
def test_what_a_validation_changed_is_repeated(intervals, saved, killer, before, after, scenes, tmp_path):
    folder = tmp_path / 'a'
    options = dict(checkpoint=f'interval={saved}, max_keep_ckpts=1', more=PLATEAU.format(validations=intervals))
    trained(ITERATIONS, scenes, tmp_path / 'whole', '--seed', '3', **options)
    assert train(ITERATIONS, scenes, folder, '--seed', '3', fault=killer, **options).returncode == KILLED
    if before:
        assert [entry['iter'] for entry in validations(folder)] == before
    said = trained(ITERATIONS, scenes, folder, '--resume', **options)
    assert 'was not validated before the training was cut off' in said
    assert [entry['iter'] for entry in validations(folder)] == after
    assert sha256(folder) == sha256(tmp_path / 'whole')
    assert validations(folder) == validations(tmp_path / 'whole')


def test_a_table_of_validations_that_is_damaged(scenes, tmp_path, capsys):
    cfg = scene_config(scenes, tmp_path, 1)
    run(cfg)
    (tmp_path / 'validations.json').write_text('[{"iter"')
    cfg.custom_hooks = [dict(type='se_mm.CurvesHook')]
    cfg.train_cfg.max_iters = 2
    cfg.update(resume=True, load_from=str(tmp_path / 'iter_1.pth'))
    run(cfg)
    assert f'{tmp_path / "validations.json"} is damaged' in ''.join(capsys.readouterr())


@pytest.mark.parametrize(('length', 'expected'), [(4, False), (8, True), (2, True)])
def test_another_length_than_the_training_was_started_for(length, expected, scenes, tmp_path, capsys):
    """mmengine resumes the milestones with the rest of the schedule: the learning rate is that of the first start."""

    def resumed(iterations: int, at: int):
        cfg = scene_config(scenes, tmp_path / 'a', iterations)
        cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=-1)
        cfg.param_scheduler = [dict(type='MultiStepLR', milestones=[iterations // 2], by_epoch=False)]
        cfg.update(resume=at > 0, load_from=str(tmp_path / 'a' / f'iter_{at}.pth') if at else None)
        capsys.readouterr()
        runner = run(cfg)
        return runner, ''.join(capsys.readouterr())

    first, said = resumed(4, 0)
    assert 'was started for' not in said
    runner, said = resumed(length, 1)
    assert said.count(f'was started for 4 iterations, this command ends at {length} iterations') == expected
    assert said.count('--iters 4 goes on as it was') == expected
    if length == 8:
        assert runner.optim_wrapper.get_lr() == first.optim_wrapper.get_lr()
        assert 'was started for' not in resumed(4, 2)[1]  # of the second start, for 8, with the schedule of the first


def test_averaged_weights_resumed_without_the_average(scenes, tmp_path, capsys):
    averaged = scene_config(scenes, tmp_path / 'a', 2, hooks=[dict(type='EMAHook')])
    averaged.default_hooks.checkpoint.interval = 2
    run(averaged)
    for hooks, warns in ([], True), ([dict(type='EMAHook')], False):
        cfg = scene_config(scenes, tmp_path / 'b', 3, hooks=hooks)
        cfg.update(resume=True, load_from=str(tmp_path / 'a' / 'iter_2.pth'))
        capsys.readouterr()
        run(cfg)
        assert ('it goes on from the average; with --ema' in ''.join(capsys.readouterr())) == warns
