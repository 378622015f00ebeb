"""A trained model with gates and the data that it is analysed on, from a config and a checkpoint."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from ..analysis.gates import Gate, find_gates
from ..analysis.removal import evaluate, mean_gates
from ..compat.compiled import original_name
from ..config.loaders import datasets_in, datasets_of
from ..datasets.validation import preflight, skipped
from ..engine import switches
from ..engine.evaluation import load_weights
from ..engine.runner import build_runner
from ..errors import SeMmError, listed
from ..evaluation.metrics import find_metric
from ..weights.files import read_checkpoint

#: Batches are kept in memory between evaluations while they are smaller than this, in bytes.
KEPT_BYTES = 1 << 30


class GateSession:
    """A model with its weights, its gates, and loaders of its data.

    Args:
        cfg: that the checkpoint was trained with.
        checkpoint: a file that a training wrote.
        work_dir: gets the log.
        splits: the splits that are read and have to be there, of ``'val'`` and ``'test'``.

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
        _refuse_deployed(self.runner.model, checkpoint)
        load_weights(self.runner, checkpoint)
        self.model = self.runner.model
        self.model.eval()
        self.gates = find_gates(self.model)

    def loader(self, split: str) -> DataLoader:
        """The loader of ``'val'`` or ``'test'`` as the config describes it."""
        config = self.cfg.get(f'{split}_dataloader')
        if not config:
            raise SeMmError(f'the config has no {split}_dataloader to analyse the model on')
        return self._built(config)

    def _built(self, loader: ConfigDict) -> DataLoader:
        guarded = Config(dict(test_dataloader=copy.deepcopy(loader), work_dir=self.cfg.work_dir))
        switches.guard_data(guarded)
        return Runner.build_dataloader(guarded.test_dataloader)

    def batches_of(self, loader: DataLoader, indices: Sequence[int], bar: str) -> Any:
        """Batches of some pictures of a loader's data set, in this order, with a progress bar."""
        part = DataLoader(
            Subset(loader.dataset, [int(i) for i in indices]),
            batch_size=loader.batch_size or 1,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
        )
        return tqdm(part, bar, unit='batch', disable=None)

    def calibration(self, count: int, seed: int) -> tuple[DataLoader, np.ndarray, str]:
        """Pictures for mean gates: of the training set, through the test pipeline; else of the test set.

        Args:
            count: at most so many.
            seed: of the choice.

        Returns:
            A loader, the indices in its data set, and what was taken, in words.
        """
        if count < 1:
            raise SeMmError(f'--calibration is {count}; expected the number of pictures for the mean gates, 1 or more')
        loader, what = self._training_loader(), 'training'
        if loader is None:
            loader, what = self.loader('test'), 'test'
        total = len(loader.dataset)
        indices = np.sort(np.random.default_rng(seed).permutation(total)[:count])
        return loader, indices, f'{len(indices)} pictures of the {what} set'

    def _training_loader(self) -> DataLoader | None:
        trained_on = next((dataset for split, dataset in datasets_in(self.cfg) if split == 'train'), None)
        loader = copy.deepcopy(self.cfg.test_dataloader)
        tested_on = next(datasets_of(loader), None)
        if trained_on is None or tested_on is None:
            return None
        dataset = copy.deepcopy(trained_on)
        dataset.pipeline = tested_on.pipeline
        dataset.test_mode = True
        loader.dataset = dataset
        try:
            built = self._built(loader)
        except (OSError, SeMmError):  # a machine that has the test set alone
            return None
        return built if len(built.dataset) else None

    def mean_gates(self, count: int, seed: int) -> tuple[dict[str, Tensor], str]:
        """The mean of each gate over a calibration set, and what that was."""
        loader, indices, what = self.calibration(count, seed)
        return mean_gates(self.model, self.batches_of(loader, indices, 'mean gates'), self.gates), what

    def metric(self, split: str, wanted: str | None) -> tuple[Callable[[Any], float], str, float]:
        """A function that evaluates a model on a split, the name of the metric that it gives, and its value now.

        The batches stay in memory between its calls where they are small.

        Args:
            split: ``'val'`` or ``'test'``.
            wanted: the name of a metric; ``None``: mAP or top-1.
        """
        loader = self.loader(split)
        config = copy.deepcopy(self.cfg.get(f'{split}_evaluator'))
        if not config:
            raise SeMmError(f'the config has no {split}_evaluator; the study needs a metric')
        evaluator = self.runner.build_evaluator(config)
        evaluator.dataset_meta = loader.dataset.metainfo
        batches = _kept(loader)

        def all_metrics(model: Any) -> dict[str, float]:
            return evaluate(model, batches, evaluator, len(loader.dataset))

        metrics = all_metrics(self.model)
        name = find_metric(metrics, wanted) or (None if wanted else next(iter(metrics), None))
        if name is None:
            raise SeMmError(f'--metric {wanted}: the evaluation has {listed(list(metrics), 12)}')
        return lambda model: float(all_metrics(model)[name]), name, float(metrics[name])

    def unreadable(self) -> list[str]:
        """Pictures that were replaced by grey ones, as lines for the user."""
        entries, _ = skipped.noted(Path(self.cfg.work_dir, skipped.FILE))
        names = list(dict.fromkeys(f'{entry.name} ({entry.reason})' for entry in entries if entry.kind == 'image'))
        return [f'{len(names)} pictures cannot be read, and were analysed as grey ones: {listed(names, 3)}'] * bool(
            names
        )


def _refuse_deployed(model: nn.Module, checkpoint: str) -> None:
    """A deployed network's weights have no norms, which a list of missing tensors would not tell."""
    content = read_checkpoint(checkpoint)
    state = {original_name(key) for key in content.get('state_dict', content)}
    wanted = set(model.state_dict())
    norms = [key for key in wanted - state if key.endswith('.running_mean')]
    biases = [key for key in state - wanted if key.endswith('.bias')]
    if norms and biases:
        raise SeMmError(
            f'checkpoint {checkpoint} is of a deployed network: its norms are part of its convolutions '
            f'({len(norms)} are missing, {sorted(norms)[0].rpartition(".")[0]} among them), and its gates cannot be '
            'watched; give the checkpoint that the training wrote'
        )


def _kept(loader: DataLoader) -> Any:
    """The batches of a loader as a list, if they fit into memory."""
    kept, size = [], 0
    for batch in loader:
        kept.append(batch)
        size += _bytes_in(batch)
        if size > KEPT_BYTES:
            return loader
    return kept


def _bytes_in(node: Any) -> int:
    if isinstance(node, Tensor):
        return node.nbytes
    children = node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ()
    return sum(map(_bytes_in, children))


def short_names(gates: Sequence[Gate]) -> dict[str, str]:
    """The names of gates without the host that all of them stand in."""
    hosts = {gate.host for gate in gates}
    prefix = f'{hosts.pop()}.' if len(hosts) == 1 else ''
    return {gate.name: gate.name.removeprefix(prefix) for gate in gates}


def say(*lines: str) -> None:
    """Prints what the user should know, on its own lines beside progress bars."""
    for line in lines:
        tqdm.write(line, file=sys.stdout)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table in 80 columns: the first left, the others right."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for i, name in enumerate(header):
        table.add_column(name, justify='right' if i else 'left', no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
