"""The data sets and metrics that a config names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config, ConfigDict

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
EVALUATORS = ('val_evaluator', 'test_evaluator')


def datasets_of(loader: Mapping[str, Any] | None) -> Iterator[ConfigDict]:
    """The data sets of a loader that read files, inside whatever wraps them (repeat, concatenate, mix);
    none where there is no loader.

    Example:
        >>> loader = ConfigDict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(type='CocoDataset')))
        >>> [dataset.type for dataset in datasets_of(loader)]
        ['CocoDataset']
    """
    if not loader:
        return
    inner = loader.get('dataset', loader.get('datasets'))
    if inner is None:
        yield loader
        return
    for dataset in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from datasets_of(dataset)


def datasets_in(cfg: Config) -> Iterator[tuple[str, ConfigDict]]:
    """Each data set of a config with its split: ``'train'``, ``'val'`` or ``'test'``."""
    for loader in LOADERS:
        for dataset in datasets_of(cfg.get(loader)):
            yield loader.partition('_')[0], dataset
