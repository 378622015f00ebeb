"""Seconds and bytes of a call, and the table in which they stand."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.benchmark import timer  # waits for the GPU first
from tqdm import tqdm

from ..errors import SeMmError

MIB = 2**20
Key = TypeVar('Key', bound=Hashable)


def check_device(device: str) -> None:
    """Raises an SeMmError if the device is not there."""
    if device == 'cuda' and not torch.cuda.is_available():
        raise SeMmError('--device cuda: torch finds no GPU here; leave it out')


def seconds_of(run: Callable[[], Any]) -> float:
    """How long one call takes, until the device is done with it."""
    gc.collect()
    start = timer()
    run()
    return timer() - start


def interleaved(runs: dict[Key, Callable[[], Any]], rounds: int, warmup: int = 0) -> dict[Key, list[float]]:
    """Seconds of each call in each round. All are called in turn in one process, so that a slow minute affects all.

    Args:
        runs: the calls by name, in the order of a round.
        rounds: how many are measured.
        warmup: rounds before those.

    Example:
        >>> seconds = interleaved({'a': lambda: None, 'b': lambda: None}, rounds=3)
        >>> {name: len(each) for name, each in seconds.items()}
        {'a': 3, 'b': 3}
    """
    seconds: dict[Key, list[float]] = {name: [] for name in runs}
    for _ in tqdm(range(warmup + rounds), 'rounds', disable=None):
        for name, run in runs.items():
            seconds[name].append(seconds_of(run))
    return {name: each[warmup:] for name, each in seconds.items()}


def kept_bytes(forward: Callable[[], Any], model: nn.Module) -> int:
    """Bytes that autograd keeps between a forward and its backward: whole storages, each once, without the weights.

    Tensors without values, on the meta device or of a ``FakeTensorMode``, count like real ones.

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


def peak_bytes(run: Callable[[], Any], device: str = 'cpu') -> int:
    """The most memory of tensors that a run holds at a time, beyond what was there before it.

    Example:
        >>> 4000 <= peak_bytes(lambda: torch.ones(1000)) < 4100
        True
    """
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    held = peak = 0
    for size in _allocations(profile.profiler.kineto_results.experimental_event_tree()):
        held += size
        peak = max(peak, held)
    return peak


def _allocations(tree: list[Any]) -> Iterator[int]:
    """The sizes that the allocator gave (positive) and took back (negative), in the order of time."""
    events, found = list(tree), []
    while events:
        event = events.pop()
        events += event.children
        if event.tag.name == 'Allocation':
            found.append((event.start_time_ns, event.extra_fields.alloc_size))
    return (size for _, size in sorted(found, key=lambda pair: pair[0]))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table.

    Example:
        >>> markdown_table(['a', 'b'], [['1', '2']])
        ['| a | b |', '| --- | --- |', '| 1 | 2 |']
    """
    return [f'| {" | ".join(row)} |' for row in (header, ['---'] * len(header), *rows)]
