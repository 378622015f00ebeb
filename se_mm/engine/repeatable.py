"""Random numbers and data order as functions of the seed and the iteration alone.

An iteration then depends on the weights, the seed and its number, and on no other state of the process: a resumed
training is bit-identical to an uninterrupted one, with any number of workers, and any iteration can be run again.
"""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, get_worker_info

from ..registry import DATA_SAMPLERS, HOOKS


def seed_all(*position: int) -> None:
    """Seeds Python's, numpy's and torch's global generators from non-negative integers.

    Example:
        >>> draws = [(seed_all(0, i), random.random(), np.random.rand(), torch.rand(()).item()) for i in (7, 8, 7)]
        >>> draws[0] == draws[2], draws[0] == draws[1]
        (True, False)
    """
    seed = int(np.random.SeedSequence(position).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@HOOKS.register_module()
class SeedHook(Hook):
    """Seeds the random generators for each iteration, and again after a validation has drawn from them."""

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        seed_all(runner.seed, runner.rank, runner.iter, 0)

    after_val_epoch = before_train_iter


class Draw(int):
    """An index into a data set, with the iteration and the place in the batch that it was drawn for.

    Example:
        >>> draw = Draw(17, iteration=3, place=1)
        >>> draw == 17, draw.iteration, draw.place
        (True, 3, 1)
    """

    def __new__(cls, index: int, iteration: int, place: int) -> Draw:
        draw = super().__new__(cls, index)
        draw.iteration, draw.place = iteration, place
        return draw

    def __reduce__(self) -> tuple[type[Draw], tuple[int, int, int]]:
        return Draw, (int(self), self.iteration, self.place)


@DATA_SAMPLERS.register_module()
class RepeatableBatchSampler(BatchSampler):
    """Batches of :class:`Draw`, from any iteration on.

    Args:
        sampler: what draws the indices.
        batch_size: how many of them make a batch.
        drop_last: whether a last batch that is smaller is left out.
        batches: config of the batch sampler to wrap; ``None``: torch's.
        endless: whether epochs repeat without end, as a loop over iterations needs.

    Example:
        >>> sampler = torch.utils.data.SequentialSampler(range(5))
        >>> batches = RepeatableBatchSampler(sampler, batch_size=2)
        >>> batches.go_to(iteration=10, skip=1)
        >>> [(draw, draw.iteration, draw.place) for batch in batches for draw in batch]
        [(2, 10, 0), (3, 10, 1), (4, 11, 0)]
        >>> training, other = iter(batches), iter(batches)  # as a hook that reads the training data meanwhile
        >>> next(training)[0].iteration, next(other)[0].iteration, next(training)[0].iteration
        (10, 10, 11)
    """

    def __init__(
        self,
        sampler: Sampler,
        batch_size: int,
        drop_last: bool = False,
        batches: Mapping[str, Any] | None = None,
        endless: bool = False,
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.endless = endless
        self.batches = BatchSampler(sampler, batch_size, drop_last)
        if batches is not None:
            self.batches = DATA_SAMPLERS.build(dict(batches), default_args=dict(sampler=sampler, batch_size=batch_size))
        self.go_to(iteration=0, skip=0)

    def go_to(self, iteration: int, skip: int) -> None:
        """Makes the next batch the one for ``iteration``, after skipping ``skip`` batches."""
        self.iteration, self.skip = iteration, skip

    def __iter__(self) -> Iterator[list[Draw]]:
        skip, self.skip = self.skip, 0
        batches = _with_own_numbers(self._epochs() if self.endless else self.batches, getattr(self.sampler, 'seed', 0))
        for iteration, batch in enumerate(islice(batches, skip, None), self.iteration):
            places = enumerate(batch)
            yield [Draw(index, iteration, place) if isinstance(index, int) else index for place, index in places]

    def _epochs(self) -> Iterator[list[int]]:
        sampler = self.sampler
        if isinstance(sampler, InfiniteSampler):  # it would go on where an earlier iterator left it
            sampler.indices = InfiniteSampler(sampler.dataset, sampler.shuffle, sampler.seed).indices
        for epoch in count():
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)
            yield from self.batches

    def __len__(self) -> int:
        return len(self.batches)


def _with_own_numbers(batches: Iterable[list[int]], seed: int | None) -> Iterator[list[int]]:
    """Batches of samplers that draw from numpy's global generator, which is given a state of its own meanwhile."""
    own = np.random.RandomState(seed or 0).get_state()
    iterator = iter(batches)
    while True:
        outer = np.random.get_state()
        np.random.set_state(own)
        batch = next(iterator, None)
        own = np.random.get_state()
        np.random.set_state(outer)
        if batch is None:
            return
        yield batch


def _start_worker(then: Callable[[int], None] | None, worker: int) -> None:
    """Makes a worker ignore SIGTERM and Ctrl-C, which reach all processes; the main process handles them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if then:
        then(worker)


class Reader:
    """Fetches the samples of a batch: seeds each draw and records what each worker is reading."""

    def __init__(self, dataset: Dataset, seed: int, rank: int, workers: int) -> None:
        self.dataset, self.seed, self.rank = dataset, seed, rank
        #: The index that each worker is reading, -1 where it reads none; in memory that they share.
        self.reading = torch.full((max(workers, 1),), -1, dtype=torch.int64).share_memory_()

    @classmethod
    def of(cls, loader: DataLoader, seed: int, rank: int) -> Reader:
        """The reader of a loader, created if it has none; call it before the workers start."""
        dataset = loader.dataset
        if not isinstance(getattr(dataset, '__getitems__', None), Reader):
            loader.worker_init_fn = partial(_start_worker, loader.worker_init_fn)
            dataset.__getitems__ = cls(dataset, seed, rank, loader.num_workers)  # what torch's fetcher asks for
        return dataset.__getitems__

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        worker = get_worker_info()
        slot = worker.id if worker else 0
        samples = []
        for index in indices:
            self.reading[slot] = index if isinstance(index, int) else -1
            if isinstance(index, Draw):
                seed_all(self.seed, self.rank, index.iteration, index.place + 1)  # place 0 is the iteration itself
            try:
                samples.append(self.dataset[index])
            except Exception:
                print(f'{self._path(index)} could not be prepared:', file=sys.stderr, flush=True)
                raise
        self.reading[slot] = -1
        return samples

    def paths_being_read(self) -> list[str]:
        """The images that workers have begun and not finished."""
        return [self._path(index) for index in self.reading.tolist() if index >= 0]

    def _path(self, index: int) -> str:
        path = f'sample {index}'
        if isinstance(index, int) and hasattr(self.dataset, 'get_data_info'):
            path = self.dataset.get_data_info(index).get('img_path', path)
        return ', '.join(map(str, path)) if isinstance(path, (list, tuple)) else str(path)
