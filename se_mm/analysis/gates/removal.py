"""What a network loses without some of its gates: s := 1, and s := its mean over a calibration set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ...errors import SeMmError
from .find import Gate
from .record import gates_on


@dataclass(frozen=True)
class Removal:
    """The metric where the gates of a unit, of a stage, or all are replaced: by 1, and by their means."""

    what: str
    gates: tuple[str, ...]
    parameters: int
    with_one: float
    with_mean: float


def mean_gates(model: nn.Module, batches: Iterable[Any], gates: Sequence[Gate]) -> dict[str, Tensor]:
    """The mean of each channel's gate over pictures, (C,) float64 on the CPU, by the name of the gate.

    Raises:
        SeMmError: if there is no batch.
    """
    sums = {gate.name: torch.zeros(gate.channels, dtype=torch.float64) for gate in gates}
    count = 0
    for values in gates_on(model, batches, gates):
        for name, value in values.items():
            sums[name] += value.double().cpu().sum(0)
        count += len(value)
    if not count:
        raise SeMmError('the calibration set is empty: there is no picture to take the mean gates from')
    return {name: total / count for name, total in sums.items()}


@contextmanager
def replaced(gates: Iterable[Gate], means: Mapping[str, Tensor] | None) -> Iterator[None]:
    """While it lasts, the layers of some gates multiply by constants.

    Args:
        gates: that are replaced.
        means: by the name of the gate s for each channel, (C,); ``None``: 1, the layers do nothing.
    """
    with ExitStack() as hooks:
        for gate in gates:
            hook = partial(_multiply, None if means is None else means[gate.name])
            hooks.callback(gate.layer.register_forward_hook(hook).remove)
        yield


def _multiply(s: Tensor | None, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    u = inputs[0]
    return u if s is None else u * s.to(u)[:, None, None]


def study_removal(gates: Sequence[Gate], means: Mapping[str, Tensor], metric: Callable[[], float]) -> list[Removal]:
    """The metric, which is measured anew, without the gates of each unit, of each stage, and without all."""
    found = []
    for what, members in tqdm(removal_groups(gates).items(), 'removal', disable=None):
        with replaced(members, None):
            with_one = metric()
        with replaced(members, means):
            with_mean = metric()
        names = tuple(gate.name for gate in members)
        found.append(Removal(what, names, sum(gate.parameters for gate in members), with_one, with_mean))
    return found


def removal_groups(gates: Sequence[Gate]) -> dict[str, list[Gate]]:
    """Units, stages of several units, and all gates, each with what it is called."""
    stages: dict[str, list[Gate]] = {}
    for gate in gates:
        if gate.site is not None:  # its stages are counted from 0, as in attention_stages
            stages.setdefault(f'{gate.host} stage {gate.site.stage}'.strip(), []).append(gate)
    several = {name: members for name, members in stages.items() if len(members) > 1}
    return {gate.name: [gate] for gate in gates} | several | {'all': list(gates)}
