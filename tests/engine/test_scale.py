"""The schedules of the paper's trainings on 8 and 64 processes, without the machines: this process is one of N."""

from __future__ import annotations

import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import DATASETS
from mmengine.runner import EpochBasedTrainLoop, Runner
from support.helpers import REPOSITORY
from torch import distributed, multiprocessing, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.testing._internal.distributed.fake_pg import FakeStore

from se_mm import SEResNet
from se_mm.engine.switches import make_survivable

COCO, IMAGENET, CHALLENGE = 117_266, 1_281_167, 8_026_628
#: Config, pictures, batch of a process, rate for the base batch, base batch, epochs or iterations, milestones.
RECIPES = {
    'faster_rcnn_se_r50_coco': (COCO, 2, 0.02, 16, 12, (8, 11)),
    'faster_rcnn_se_r50_coco_2x': (COCO, 2, 0.02, 16, 180_000, (120_000, 160_000)),
    'se_resnet50_imagenet': (IMAGENET, 128, 0.6, 1024, 100, (30, 60, 90)),
    'se_resnet152_places365_challenge': (CHALLENGE, 32, 0.1, 256, 20, (7, 14)),
}
WARMUPS = {'faster_rcnn_se_r50_coco': 0.001, 'faster_rcnn_se_r50_coco_2x': 1 / 3}
each_recipe = pytest.mark.parametrize('name', RECIPES)
each_number = pytest.mark.parametrize('processes', [8, 64])


@DATASETS.register_module()
class OnlySizes:
    """A data set that knows how many pictures it has, and which stand upright."""

    def __init__(self, length):
        self.length = length
        self.upright = np.random.default_rng(0).random(length) < 0.4

    def __len__(self):
        return self.length

    def get_data_info(self, index):
        return {'width': 1, 'height': 2} if self.upright[index] else {'width': 2, 'height': 1}


@contextmanager
def one_of(processes, rank=0):
    distributed.init_process_group('fake', store=FakeStore(), rank=rank, world_size=processes)
    try:
        yield
    finally:
        distributed.destroy_process_group()


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


def runner_of(name, tmp_path):
    """The Runner of a config, with its own loader, loop, optimizer and schedules; the model and the data are small."""
    cfg = Config.fromfile(REPOSITORY / 'configs' / f'{name}.py')
    pictures = RECIPES[name][0]
    loader = dict(cfg.train_dataloader, dataset=dict(type='OnlySizes', length=pictures), num_workers=0)
    loader.update(persistent_workers=False, pin_memory=False)
    cfg.train_dataloader = loader
    optimizer = dict(type='OptimWrapper', optimizer=cfg.optim_wrapper.optimizer)
    parts = Config(dict(train_dataloader=loader, train_cfg=cfg.train_cfg, work_dir=str(tmp_path)))
    make_survivable(parts)
    runner = Runner(
        Tiny(), str(tmp_path), parts.train_dataloader, train_cfg=parts.train_cfg, optim_wrapper=optimizer,
        param_scheduler=cfg.param_scheduler, auto_scale_lr=dict(cfg.auto_scale_lr, enable=True),
        default_scope='mmdet' if name.startswith('faster') else 'mmpretrain', randomness=dict(seed=0),
        experiment_name=name, log_level='ERROR',
    )  # fmt: skip
    runner._train_loop = runner.build_train_loop(parts.train_cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    return runner


def rates(runner):
    """The learning rate of each step, as mmengine's ParamSchedulerHook steps the schedules."""
    loop, found = runner.train_loop, []
    by_epoch = hasattr(loop, 'max_epochs') and loop.max_epochs > 1
    length = len(runner.train_dataloader) if by_epoch else loop.max_iters
    rate = runner.optim_wrapper.optimizer.param_groups[0]
    for i in range(loop.max_iters):
        found.append(rate['lr'])
        for scheduler in runner.param_schedulers:
            if not scheduler.by_epoch or (i + 1) % length == 0:
                scheduler.step()
    return np.array(found)


@each_number
@each_recipe
def test_iterations_pictures_and_rates_are_closed_forms(name, processes, tmp_path):
    pictures, batch, base_rate, base_batch, length, milestones = RECIPES[name]
    with one_of(processes):
        runner = runner_of(name, tmp_path)
        found = rates(runner)
        by_epoch = length < 1000
        an_epoch = math.ceil(math.ceil(pictures / processes) / batch)
        iterations = length * an_epoch if by_epoch else length
        assert runner.train_loop.max_iters == len(found) == iterations
        if by_epoch:
            assert len(runner.train_dataloader) == an_epoch
            assert len(runner.train_dataloader.batch_sampler.sampler) == math.ceil(pictures / processes)
    step = np.arange(iterations)
    passed = sum((step // an_epoch if by_epoch else step) >= milestone for milestone in milestones)
    expected = base_rate * processes * batch / base_batch * 0.1**passed
    if name in WARMUPS:
        expected *= np.minimum(1, WARMUPS[name] + (1 - WARMUPS[name]) * step / 499)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@each_number
def test_the_samplers_of_an_epoch_are_disjoint_and_whole(processes):
    data, seen = range(COCO), []
    for rank in range(processes):
        with one_of(processes, rank):
            sampler = DefaultSampler(data, shuffle=True, seed=3)
            sampler.set_epoch(5)
            seen.append(np.fromiter(sampler, int))
            endless = iter(InfiniteSampler(data, shuffle=True, seed=3)) if processes == 8 else iter(())
            first = np.fromiter((next(endless) for _ in range(COCO // 8)), int) if processes == 8 else None
        if processes == 8:
            assert len(set(first)) == len(first)
    together = np.concatenate(seen)
    assert {len(each) for each in seen} == {math.ceil(COCO / processes)}
    assert set(together) == set(data)
    assert len(together) - len(set(together)) < processes  # the last ones are rounded up


@each_number
def test_all_reduces_of_a_step_carry_each_trained_parameter_once(processes):
    sizes = []

    def count(state, bucket):
        sizes.append(bucket.buffer().numel() * bucket.buffer().element_size())
        future = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future

    with one_of(processes):
        network = SEResNet(depth=50, frozen_stages=1, norm_eval=True)
        parallel = DistributedDataParallel(network.train(), bucket_cap_mb=25)
        parallel.register_comm_hook(None, count)
        for _ in range(2):  # the buckets are made in the order of the first step
            sizes.clear()
            sum(f.mean() for f in parallel(torch.rand(1, 3, 64, 64))[1:]).backward()
    trained = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
    assert sum(sizes) == trained
    # Buckets of 25 MiB; the first one to be ready is smaller, and a parameter is in one of them.
    assert math.ceil(trained / 2**20 / 25) <= len(sizes) <= math.ceil(trained / 2**20 / 25) + 3


def test_a_training_resumed_on_other_processes_ends_with_its_last_epoch(tmp_path, monkeypatch):
    def epoch(processes):
        return math.ceil(math.ceil(COCO / processes) / 2)

    with one_of(64):
        loop = runner_of('faster_rcnn_se_r50_coco', tmp_path).train_loop
        assert loop.max_iters == 12 * epoch(64)
        loop._epoch, loop._iter = 4, 4 * epoch(8)  # as a checkpoint of 8 processes has it
        monkeypatch.setattr(EpochBasedTrainLoop, 'run', lambda loop: None)
        loop.run()
    assert loop.max_iters == 4 * epoch(8) + 8 * epoch(64)


def losses(rank, processes, rendezvous, sharded, results):
    """Three steps on the same pictures in each process; with FSDP2 a stage is a unit."""
    distributed.init_process_group('gloo', f'file://{rendezvous}', rank=rank, world_size=processes)
    torch.manual_seed(0)
    network = SEResNet(depth=50, base_channels=8, stem_channels=8, norm_eval=True).double().train()
    if sharded:
        mesh = init_device_mesh('cpu', (processes,))
        for stage in network.res_layers:
            fully_shard(getattr(network, stage), mesh=mesh)
        fully_shard(network, mesh=mesh)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    found = []
    for _ in range(3):
        loss = sum(
            f.square().mean() for f in network(torch.linspace(-1, 1, 2 * 3 * 64 * 64).view(2, 3, 64, 64).double())
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    if rank == 0:
        torch.save(found, results)
    distributed.destroy_process_group()


@pytest.mark.soak
def test_fsdp_has_the_losses_of_one_process(tmp_path):
    found = []
    for sharded in (False, True):
        processes = 2 if sharded else 1
        args = (processes, tmp_path / f'rendezvous_{sharded}', sharded, tmp_path / 'losses.pt')
        multiprocessing.start_processes(losses, args, processes, start_method='spawn')
        found.append(torch.load(tmp_path / 'losses.pt'))
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert found[0][2] < found[0][0]
