"""Several processes are one training: the same gradients, each picture once, the same metrics."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from mmpretrain.structures import DataSample
from support.commands import CAN_FORK, group, output, tool, torchrun
from support.helpers import REPOSITORY, randomize
from support.small import draw_shapes, scene_config
from test_data_faults import BOXES

from se_mm import swap_backbone

PROCESSES = 2


def detector() -> ConfigDict:
    """FCOS: its losses are divided by the mean number of positives over all processes, and nothing is drawn."""
    cfg = Config.fromfile(Config._get_cfg_path('mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', '')[0])
    cfg.model.backbone.update(depth=18, base_channels=16, stem_channels=16, init_cfg=None, frozen_stages=-1)
    cfg.model.neck.update(in_channels=[16, 32, 64, 128], out_channels=32)
    cfg.model.bbox_head.update(num_classes=3, in_channels=32, feat_channels=32, stacked_convs=1)
    cfg.model.data_preprocessor.pad_size_divisor = 32
    return swap_backbone(cfg).model


MODELS_OF = dict(mmdet=detector, mmpretrain=lambda: scene_config(Path(), Path()).model)


def batch(scope: str, count: int = 4) -> list[dict]:
    """Pictures with a different number of boxes each."""
    random = np.random.default_rng(0)
    samples = []
    for i in range(count):
        pixels = torch.from_numpy(random.integers(0, 256, (3, 96, 128), np.uint8)).double()
        if scope == 'mmdet':
            sample = DetDataSample(metainfo=dict(img_shape=(96, 128), ori_shape=(96, 128), scale_factor=(1, 1)))
            corners = np.sort(random.uniform(0, 96, (i + 1, 2, 2)), 1).reshape(i + 1, 4)
            corners[:, 2:] += 8
            sample.gt_instances = InstanceData(
                bboxes=HorizontalBoxes(torch.from_numpy(corners)), labels=torch.arange(i + 1) % 3
            )
        else:
            sample = DataSample().set_gt_label(i % 2)
        samples.append({'inputs': pixels, 'data_samples': sample})
    return samples


def gradients(scope: str, samples: list[dict], distributed: bool) -> dict[str, torch.Tensor]:
    torch.set_default_dtype(torch.float64)
    init_default_scope(scope)
    model = randomize(MODELS.build(MODELS_OF[scope]())).double().train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
    wrapped = MMDistributedDataParallel(model) if distributed else model  # without find_unused_parameters
    for _ in range(2):  # the second iteration fails where a parameter had no part in the first
        model.zero_grad()
        data = model.data_preprocessor(pseudo_collate(samples), True)
        data['inputs'] = data['inputs'].double()
        loss, _ = model.parse_losses(wrapped(**data, mode='loss'))
        loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}


def gradients_of_a_process(rank: int, scope: str, rendezvous: str, out: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', f'file://{rendezvous}', rank=rank, world_size=PROCESSES)
    found = gradients(scope, batch(scope)[rank::PROCESSES], distributed=True)
    if rank == 0:
        torch.save(found, out)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ('scope', 'tolerance'),
    [
        ('mmpretrain', 1e-12),
        # mmdet adds float32's eps to what each process divides its losses by, so n processes add it n times.
        ('mmdet', torch.finfo(torch.float32).eps),
    ],
)
def test_gradients_of_two_processes_are_those_of_one(scope, tolerance, tmp_path):
    args = (scope, str(tmp_path / 'rendezvous'), str(tmp_path / 'gradients.pth'))
    method = 'fork' if CAN_FORK else 'spawn'
    torch.multiprocessing.start_processes(gradients_of_a_process, args, nprocs=PROCESSES, start_method=method)
    try:
        expected = gradients(scope, batch(scope), distributed=False)
    finally:
        torch.set_default_dtype(torch.float32)
    found = torch.load(tmp_path / 'gradients.pth')
    assert found.keys() == expected.keys()
    assert all(gradient is not None for gradient in found.values())
    assert any('.se.fc1.weight' in name and gradient.abs().max() > 0 for name, gradient in found.items())
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    worst = max((found[name] - expected[name]).abs().max().item() for name in expected)
    assert worst <= tolerance * max(largest, 1)


@pytest.fixture(scope='module')
def boxes(tmp_path_factory) -> Path:
    return draw_shapes(tmp_path_factory.mktemp('shapes'), train=9, val=5)


@pytest.fixture(scope='module')
def detector_config(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp('config') / 'config.py'
    file.write_text(BOXES.format(repository=REPOSITORY, workers=0) + EVERYTHING)
    return file


EVERYTHING = """
train_cfg = dict(max_epochs=1, val_interval=1)
train_dataloader = dict(batch_size=2)
val_dataloader = dict(num_workers=0, persistent_workers=False, batch_size=1)
test_dataloader = val_dataloader
model = dict(test_cfg=dict(rcnn=dict(score_thr=0.0)))
custom_imports = dict(imports=['se_mm', 'support.faults'], allow_failed_imports=False)
custom_hooks = [dict(type='LeaveImages')]
"""


@pytest.fixture(scope='module')
def trained(boxes, detector_config, tmp_path_factory) -> Path:
    """By two processes."""
    work_dir = tmp_path_factory.mktemp('trained')
    args = (detector_config, '--data-root', boxes, '--work-dir', work_dir, '--seed', 0)
    for done in group(PROCESSES, 'train', *args):
        output(done)
    return work_dir


def test_each_image_is_seen_once_an_epoch(trained):
    seen = sorted(int(i) for file in trained.glob('images_*.txt') for i in file.read_text().split())
    assert len(list(trained.glob('images_*.txt'))) == 2
    assert len(seen) == 10  # nine, and one of them again: both processes make as many steps
    assert sorted(set(seen)) == list(range(1, 10))


def evaluated(processes: int, config, checkpoint, data, folder: Path) -> tuple[dict, list]:
    work_dir = folder / str(processes)
    args = [config, checkpoint, '--data-root', data, '--work-dir', work_dir, '--out', work_dir / 'all.pkl']
    for done in group(processes, 'test', *args) if processes > 1 else [tool('test', *args)]:
        output(done)
    [log] = work_dir.glob('*/*.json')
    # mmengine's LoggerHook writes this file in each process, and a shorter text leaves the end of a longer one.
    logged, _ = json.JSONDecoder().raw_decode(log.read_text())
    metrics = {k: v for k, v in logged.items() if '/' in k}
    with (work_dir / 'all.pkl').open('rb') as file:
        return metrics, pickle.load(file)


@pytest.mark.parametrize('processes', [3, pytest.param(4, marks=pytest.mark.soak)])
def test_a_detector_has_the_same_metrics(boxes, detector_config, trained, tmp_path, processes):
    args = (detector_config, trained / 'epoch_1.pth', boxes, tmp_path)
    (expected, alone), (metrics, predictions) = evaluated(1, *args), evaluated(processes, *args)
    assert metrics == expected
    assert len(predictions) == len(alone) == 5
    for ours, theirs in zip(predictions, alone, strict=True):
        assert ours['img_id'] == theirs['img_id']
        for key in ('bboxes', 'scores', 'labels'):
            assert torch.equal(ours['pred_instances'][key], theirs['pred_instances'][key])


@pytest.mark.fault('data that are missing, found by several processes', 'one message, all leave')
def test_a_mistake_is_said_once(detector_config, tmp_path):
    done = group(2, 'train', detector_config, '--data-root', '/no/data', '--work-dir', tmp_path / 'a')
    assert [process.returncode for process in done] == [2, 2]
    said = ''.join(process.stderr for process in done)
    assert said.count('error: train data: folder /no/data does not exist') == 1


@pytest.mark.fault('--launcher pytorch without torchrun', 'one message, status 2')
def test_a_launcher_that_is_not_there(detector_config, boxes, tmp_path, monkeypatch):
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    done = tool('train', detector_config, '--data-root', boxes, '--launcher', 'pytorch', '--work-dir', tmp_path)
    assert done.returncode == 2
    assert 'start it with torchrun' in done.stderr
    assert 'Traceback' not in done.stderr


FAULT = """
_base_ = {base!r}
custom_hooks = [{fault}]
train_cfg = dict(max_epochs=2)
default_hooks = dict(checkpoint=dict(interval=2, by_epoch=False, max_keep_ckpts=2))
"""


@pytest.fixture
def faulty(detector_config, tmp_path):
    def write(fault: str) -> Path:
        file = tmp_path / 'faulty.py'
        file.write_text(FAULT.format(base=str(detector_config), fault=fault))
        return file

    return write


@pytest.mark.soak
@pytest.mark.fault('NaN in one of two processes', 'both leave the step out; the images of that one are named')
def test_nan_in_one_process(boxes, faulty, tmp_path):
    config = faulty("dict(type='Spoil', iterations=[2], module='backbone.layer1', rank=1)")
    done = torchrun(2, 'train', config, '--data-root', boxes, '--work-dir', tmp_path / 'a', '--seed', 0)
    assert done.returncode == 0, done.stderr[-3000:]
    [line] = [line for line in done.stdout.splitlines() if 'iteration 2 is left out' in line]
    assert 'backbone.layer1' in line
    assert line.count('img_id') == 2
    assert '1 of 6 iterations were left out' in done.stdout


@pytest.mark.soak
@pytest.mark.fault('SIGTERM to one of two processes', 'both leave after that iteration, with one checkpoint')
def test_sigterm_to_one_process(boxes, faulty, tmp_path):
    config = faulty("dict(type='SignalAt', iteration=3, number=15, rank=1)")
    args = (config, '--data-root', boxes, '--work-dir', tmp_path / 'a', '--seed', 0)
    done = torchrun(2, 'train', *args)
    assert 'exitcode  : 75' in done.stderr
    assert 'iteration 3 is saved to' in done.stdout
    done = torchrun(2, 'train', *args, '--resume')
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'iter: 3' in done.stdout


@pytest.mark.soak
@pytest.mark.fault(
    'SIGKILL of one of two processes, under torchrun --max-restarts', 'all start again from the checkpoint'
)
def test_torchrun_restarts(boxes, faulty, tmp_path):
    config = faulty("dict(type='SignalAt', iteration=3, rank=1)")
    args = (config, '--data-root', boxes, '--work-dir', tmp_path / 'a', '--seed', 0, '--resume', 'auto')
    done = torchrun(2, 'train', *args, options=('--max-restarts', '2'))
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'iter: 2' in done.stdout
    assert (tmp_path / 'a' / 'iter_6.pth').is_file()
