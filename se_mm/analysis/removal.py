"""What a network loses without some of its gates: s := 1, and s := its mean over a calibration set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from torch import Tensor, nn
from tqdm import tqdm

from ..compat.compiled import eager, original
from ..errors import SeMmError
from .gates import Gate, channel_gate, looks_on


@dataclass(frozen=True)
class Removal:
    """The metric of a network where some gates are replaced.

    Attributes:
        what: ``'all'``, a stage (``'stage 3'``) or the name of a unit.
        gates: the names of those that are replaced.
        parameters: of their layers.
        with_one: the metric with s := 1.
        with_mean: the metric with s := its mean.
    """

    what: str
    gates: tuple[str, ...]
    parameters: int
    with_one: float
    with_mean: float


def mean_gates(model: nn.Module, batches: Iterable[Any], gates: Sequence[Gate]) -> dict[str, Tensor]:
    """The mean of each channel's gate over pictures, (C,) float64 on the CPU, by the name of the gate.

    Args:
        model: as for :func:`se_mm.analysis.gates.gates_on`.
        batches: of the calibration set.
        gates: of :func:`se_mm.analysis.gates.find_gates`.

    Raises:
        SeMmError: if there is no batch.
    """
    sums = {gate.name: torch.zeros(gate.channels, dtype=torch.float64) for gate in gates}
    count = 0
    for values in looks_on(model, batches, gates, channel_gate):
        for name, value in values.items():
            sums[name] += value.double().cpu().sum(0)
        count += len(value)
    if not count:
        raise SeMmError('the calibration set is empty: there is no picture to take the mean gates from')
    return {name: total / count for name, total in sums.items()}


@contextmanager
def replaced(values: Mapping[nn.Module, Tensor | None]) -> Iterator[None]:
    """While it lasts, some attention layers multiply by constants.

    Args:
        values: by the layer s for each channel, (C,); ``None``: 1, the layer does nothing.
    """

    def hook_of(s: Tensor | None) -> Callable[..., Tensor]:
        def replace(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            u = inputs[0]
            return u if s is None else u * s.to(u)[:, None, None]

        return replace

    handles = [layer.register_forward_hook(hook_of(s)) for layer, s in values.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[Any], evaluator: Evaluator, count: int) -> dict[str, float]:
    """The metrics of a model, as mmengine's test loop computes them, without its hooks.

    Args:
        model: with its weights.
        batches: of a data loader.
        evaluator: its ``dataset_meta`` is set.
        count: of the pictures.
    """
    model = original(model)
    model.eval()
    with eager(model):
        for batch in batches:
            evaluator.process(data_samples=model.test_step(batch), data_batch=batch)
    return evaluator.evaluate(count)


def study_removal(
    gates: Sequence[Gate], means: Mapping[str, Tensor], metric: Callable[[], float], bar: str = 'removal'
) -> list[Removal]:
    """The metric without the gates of each unit, of each stage, and without all.

    Args:
        gates: of :func:`se_mm.analysis.gates.find_gates`.
        means: of :func:`mean_gates`.
        metric: evaluates the model.
        bar: what the progress bar is called.
    """
    found = []
    for what, members in tqdm(removal_groups(gates).items(), bar, disable=None):
        with replaced({gate.layer: None for gate in members}):
            with_one = metric()
        with replaced({gate.layer: means[gate.name] for gate in members}):
            with_mean = metric()
        names = tuple(gate.name for gate in members)
        found.append(Removal(what, names, sum(gate.parameters for gate in members), with_one, with_mean))
    return found


def removal_groups(gates: Sequence[Gate]) -> dict[str, list[Gate]]:
    """Units, stages of several units, and all gates, each with what it is called."""
    groups = {gate.name: [gate] for gate in gates}
    stages: dict[str, list[Gate]] = {}
    for gate in gates:
        if gate.site is not None:
            stages.setdefault(stage_name(gate), []).append(gate)
    groups |= {name: members for name, members in stages.items() if len(members) > 1}
    return groups | {'all': list(gates)}


def stage_name(gate: Gate) -> str:
    """``'backbone stage 3'``, counted from 0 as in ``attention_stages``."""
    return f'{gate.host} stage {gate.site.stage}'.strip()
