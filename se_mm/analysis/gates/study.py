"""A trained model with gates and the data that it is studied on, from a config and a checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from ...compat.compiled import eager, original
from ...config.loaders import datasets_in, datasets_of
from ...datasets.validation import preflight, skipped
from ...engine import switches
from ...engine.evaluation import load_weights
from ...engine.runner import build_runner
from ...errors import SeMmError, listed
from ...evaluation.metrics import find_metric
from .find import find_gates
from .removal import mean_gates

#: Batches are kept in memory between evaluations while their pictures are smaller than this, in bytes.
KEPT_BYTES = 1 << 30

#: What evaluates a model, the name of the metric that it gives, and the metric of the model as it was trained.
Metric = tuple[Callable[[Any], float], str, float]


class Study:
    """A model with its weights, its gates, and loaders of its data; of these the ``splits`` have to be there.

    Raises:
        SeMmError: if the data or the checkpoint do not fit the config, or the model has no gates.
    """

    def __init__(self, cfg: Config, checkpoint: str, work_dir: Path, splits: Sequence[str] = ('test',)) -> None:
        cfg = copy.deepcopy(cfg)
        cfg.work_dir = str(work_dir)
        cfg.load_from, cfg.resume, cfg.launcher = None, False, 'none'
        cfg.pop('compile', None)  # hooks on the layers have to be called
        self.cfg, self.checkpoint = cfg, checkpoint
        preflight.check(cfg, splits)
        self.runner = build_runner(cfg, switches.guard_data)
        load_weights(self.runner, checkpoint)
        self.model = self.runner.model
        self.model.eval()
        self.gates = find_gates(self.model)

    def loader(self, split: str, config: ConfigDict | None = None) -> DataLoader:
        """The loader of ``'val'`` or ``'test'`` as the config describes it, or another config of a loader."""
        config = config or self.cfg.get(f'{split}_dataloader')
        if not config:
            raise SeMmError(f'the config has no {split}_dataloader to analyse the model on')
        guarded = Config(dict(test_dataloader=copy.deepcopy(config), work_dir=self.cfg.work_dir))
        switches.guard_data(guarded)
        return self.runner.build_dataloader(guarded.test_dataloader)

    def batches_of(self, loader: DataLoader, indices: Sequence[int], bar: str) -> Iterable[Any]:
        """Batches of some pictures of a loader's data set, in this order, with a progress bar."""
        part = DataLoader(
            Subset(loader.dataset, [int(i) for i in indices]),
            batch_size=loader.batch_size or 1,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
        )
        return tqdm(part, bar, unit='batch', disable=None)

    def mean_gates(self, count: int, seed: int) -> tuple[dict[str, Tensor], str]:
        """The mean of each gate over training pictures through the test pipeline, else over test pictures.

        Returns:
            The means (C,) by the name of the gate, and over what they are, in words.
        """
        if count < 1:
            raise SeMmError(f'--calibration is {count}; expected the number of pictures for the mean gates, 1 or more')
        loader, split = self._training_loader(), 'training'
        if loader is None:
            loader, split = self.loader('test'), 'test'
        indices = np.sort(np.random.default_rng(seed).permutation(len(loader.dataset))[:count])
        means = mean_gates(self.model, self.batches_of(loader, indices, 'mean gates'), self.gates)
        return means, f'{len(indices)} pictures of the {split} set'

    def _training_loader(self) -> DataLoader | None:
        trained_on = next((dataset for split, dataset in datasets_in(self.cfg) if split == 'train'), None)
        loader = copy.deepcopy(self.cfg.test_dataloader)
        tested_on = next(datasets_of(loader), None)
        if trained_on is None or tested_on is None:
            return None
        loader.dataset = copy.deepcopy(trained_on)
        loader.dataset.update(pipeline=tested_on.pipeline, test_mode=True)
        try:
            built = self.loader('train', loader)
        except (OSError, SeMmError):  # a machine that has the test set alone
            return None
        return built if len(built.dataset) else None

    def metric(self, split: str, wanted: str | None) -> Metric:
        """A metric of a split; ``None``: mAP or top-1."""
        loader = self.loader(split)
        config = copy.deepcopy(self.cfg.get(f'{split}_evaluator'))
        if not config:
            raise SeMmError(f'the config has no {split}_evaluator; the study needs a metric')
        evaluator = self.runner.build_evaluator(config)
        evaluator.dataset_meta = loader.dataset.metainfo
        batches = _kept(loader)

        @torch.no_grad()
        def evaluate(model: Any) -> dict[str, float]:
            model = original(model)
            model.eval()
            with eager(model):
                for batch in batches:
                    evaluator.process(data_samples=model.test_step(batch), data_batch=batch)
            return evaluator.evaluate(len(loader.dataset))

        metrics = evaluate(self.model)
        name = find_metric(metrics, wanted) or (None if wanted else next(iter(metrics), None))
        if name is None:
            raise SeMmError(f'--metric {wanted}: the evaluation has {listed(list(metrics), 12)}')
        return lambda model: float(evaluate(model)[name]), name, float(metrics[name])

    def unreadable(self) -> list[str]:
        """Pictures that were replaced by grey ones, as lines for the user."""
        entries, _ = skipped.noted(Path(self.cfg.work_dir, skipped.FILE))
        names = list(dict.fromkeys(f'{entry.name} ({entry.reason})' for entry in entries if entry.kind == 'image'))
        line = f'{len(names)} pictures cannot be read, and were analysed as grey ones: {listed(names, 3)}'
        return [line] if names else []


def _kept(loader: DataLoader) -> Iterable[Any]:
    """The batches of a loader as a list, if they fit into memory."""
    kept, size = [], 0
    for batch in loader:
        kept.append(batch)
        size += sum(picture.nbytes for picture in batch['inputs'])
        if size > KEPT_BYTES:
            return loader
    return kept
