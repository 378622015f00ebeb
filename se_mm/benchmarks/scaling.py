"""How a training scales with its processes, and what it waits for: other processes, or data."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch import distributed, multiprocessing
from torch.utils.benchmark import timer  # waits for the GPU first

from ..config.load import model_of
from ..errors import SeMmError
from .measuring import markdown_table


@dataclass
class Scaled:
    """A training with a number of processes.

    Attributes:
        processes: how many.
        batch: images in the batch of each.
        step: seconds of an iteration, the median, the waiting for data included.
        data: of these, seconds of waiting for data.
        communication: of these, seconds by which gradients that are averaged take longer than gradients that are not.
    """

    processes: int
    batch: int
    step: float
    data: float
    communication: float

    @property
    def images_per_second(self) -> float:
        return self.processes * self.batch / self.step


def measure_scaling(cfg: Config, processes: Sequence[int], iterations: int = 20) -> list[Scaled]:
    """Trains with each number of processes, one GPU each, or one thread each where there is none.

    Args:
        cfg: a config to train; its weights are random.
        processes: the numbers, as ``[1, 2, 8]``.
        iterations: measured of each, half of them without communication; two more come before them.

    Raises:
        SeMmError: if a number is below 1, or there are fewer GPUs than processes.
    """
    if min(processes) < 1:
        raise SeMmError(f'--processes {min(processes)}; expected 1 or more')
    gpus = torch.cuda.device_count()
    if gpus and max(processes) > gpus:
        raise SeMmError(f'--processes {max(processes)}: this machine has {gpus} GPUs')
    found = []
    for count in processes:
        with contextlib.closing(socket.socket()) as free:
            free.bind(('127.0.0.1', 0))
            address = f'tcp://127.0.0.1:{free.getsockname()[1]}'
        queue = multiprocessing.get_context('spawn').SimpleQueue()
        multiprocessing.spawn(_train, (count, address, cfg.to_dict(), iterations, queue), nprocs=count)
        found.append(queue.get())
    return found


def _train(rank: int, count: int, address: str, config: dict[str, Any], iterations: int, queue: Any) -> None:
    on_gpu = torch.cuda.is_available()
    os.environ['LOCAL_RANK'] = str(rank)
    if on_gpu:
        torch.cuda.set_device(rank)
    else:
        torch.set_num_threads(1)
    distributed.init_process_group('nccl' if on_gpu else 'gloo', address, rank=rank, world_size=count)
    cfg = Config(config)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    model = MODELS.build(model_of(cfg)).to('cuda' if on_gpu else 'cpu').train()
    parallel = MMDistributedDataParallel(model, device_ids=[rank] if on_gpu else None, broadcast_buffers=False)
    times: dict[bool, list[float]] = {True: [], False: []}
    waits, batch = [], 0
    batches = (data for _ in itertools.count() for data in loader)
    for i in range(iterations + 2):
        averaged = i % 2 == 0
        distributed.barrier()  # a process that is ahead would wait in the communication, and be counted there
        begin = timer()
        data = next(batches)
        read = timer()
        with contextlib.nullcontext() if averaged else parallel.no_sync():
            data = model.data_preprocessor(data, True)
            loss, _ = model.parse_losses(parallel(**data, mode='loss'))
            loss.backward()
        model.zero_grad(set_to_none=True)
        if i >= 2:
            times[averaged].append(timer() - read)
            waits.append(read - begin)
            batch = max(batch, len(data['inputs']))
    step, alone, wait = (statistics.median(values) for values in (times[True], times[False], waits))
    everywhere = torch.tensor([step, alone, wait], device='cuda' if on_gpu else 'cpu')
    distributed.all_reduce(everywhere, distributed.ReduceOp.MAX)
    if rank == 0:
        step, alone, wait = everywhere.tolist()
        queue.put(Scaled(count, batch, step + wait, wait, max(step - alone, 0.0)))
    distributed.destroy_process_group()


def table(scaled: Sequence[Scaled]) -> list[str]:
    """The measurements as a table in Markdown.

    Example:
        >>> print(table([Scaled(1, 4, 0.5, 0.1, 0.0), Scaled(2, 4, 0.5, 0.1, 0.05)])[-1])
        | 2 | 16.0 | 2.00 | 100% | 10% | 20% |
    """
    first = scaled[0]
    rows = []
    for row in scaled:
        gain = row.images_per_second / first.images_per_second
        efficiency = gain * first.processes / row.processes
        rows.append(
            [str(row.processes), f'{row.images_per_second:.1f}', f'{gain:.2f}', f'{efficiency:.0%}',
             f'{row.communication / row.step:.0%}', f'{row.data / row.step:.0%}']
        )  # fmt: skip
    header = ['processes', 'images/s', 'of the first', 'efficiency', 'communication', 'waiting for data']
    return markdown_table(header, rows)
