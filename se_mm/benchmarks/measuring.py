"""Seconds and bytes of a call."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.benchmark import timer  # waits for the GPU first
from tqdm import tqdm

MIB = 2**20
Key = TypeVar('Key', bound=Hashable)


def interleaved(runs: dict[Key, Callable[[], Any]], rounds: int, warmup: int = 0) -> dict[Key, list[float]]:
    """Seconds of each call in each round. All are called in turn in one process, so that a slow minute affects all.

    Args:
        runs: the calls by name, in the order of a round.
        rounds: how many are measured, after those of ``warmup``.
        warmup: rounds that are not.

    Example:
        >>> seconds = interleaved({'a': lambda: None, 'b': lambda: None}, rounds=3)
        >>> {name: len(each) for name, each in seconds.items()}
        {'a': 3, 'b': 3}
    """
    seconds: dict[Key, list[float]] = {name: [] for name in runs}
    for _ in tqdm(range(warmup + rounds), 'rounds', disable=None):
        for name, run in runs.items():
            gc.collect()
            start = timer()
            run()
            seconds[name].append(timer() - start)
    return {name: each[warmup:] for name, each in seconds.items()}


def kept_bytes(forward: Callable[[], Any], model: nn.Module) -> int:
    """Bytes that autograd keeps between a forward and its backward: whole storages, each once, without the weights.

    Tensors on the meta device or of a ``FakeTensorMode`` count like real ones.

    Args:
        forward: called once; returns what the backward would start from.
        model: its parameters and buffers are not counted.

    Example:
        >>> layer, x = nn.Linear(10, 10), torch.ones(2, 10)
        >>> kept_bytes(lambda: layer(x).exp().sum(), layer)  # x and the result of exp, of 80 bytes each
        160
    """
    weights = {StorageWeakRef(t.untyped_storage()) for t in (*model.parameters(), *model.buffers())}
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)  # the same for all tensors in one storage; a meta storage has no address
        if reference not in weights:
            kept[reference] = storage
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for storage in kept.values())


def peak_bytes(run: Callable[[], Any]) -> int:
    """The most memory of tensors on the GPU that a run holds at a time, beyond what was there before it."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
