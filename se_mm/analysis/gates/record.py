"""The values of gates on pictures, in memory batch by batch, or in files for a whole data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...compat.compiled import eager, original
from ...errors import SeMmError, listed
from .find import Gate, gate_on
from .samples import SIZES, Pictures


def channel_gate(layer: nn.Module, u: Tensor) -> Tensor:
    """The gate of each channel, (N, C), float32, for a map u, (N, C, H, W): the mean where positions differ in it."""
    gate = gate_on(layer, u).detach()
    return gate.float().mean((2, 3)).expand(u.shape[0], u.shape[1])


@torch.no_grad()
def gates_on(model: nn.Module, batches: Iterable[Any], gates: Sequence[Gate]) -> Iterator[dict[str, Tensor]]:
    """The gates on each batch of N pictures of the model's data loader, (N, C) float32 by the name of the gate.

    Only the backbone (and the neck behind it) runs, in inference. A layer that is called several times
    for a picture gives the mean of its calls.

    Raises:
        SeMmError: if a layer is not called, as in the last stages of a backbone that are not used.
    """
    model = original(model)
    model.eval()
    for batch in batches:
        calls: dict[str, list[Tensor]] = {gate.name: [] for gate in gates}
        with eager(model), ExitStack() as hooks:
            for gate in gates:  # a hook also keeps a unit from taking a fused form in which the layer is not called
                handle = gate.layer.register_forward_pre_hook(partial(_record, calls[gate.name]))
                hooks.callback(handle.remove)
            run_backbone(model, batch)
        idle = [name for name, values in calls.items() if not values]
        if idle:
            raise SeMmError(f'these layers take no part in the model, and have no gates to analyse: {listed(idle)}')
        yield {name: sum(values) / len(values) for name, values in calls.items()}


def _record(calls: list[Tensor], layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    calls.append(channel_gate(layer, inputs[0]))


def run_backbone(model: nn.Module, batch: Any) -> Any:
    """The features of a batch, without heads."""
    return model.extract_feat(model.data_preprocessor(batch, False)['inputs'])


def record_gates(
    model: nn.Module, batches: Iterable[Any], gates: Sequence[Gate], count: int, folder: Path
) -> dict[str, np.ndarray]:
    """The gates on so many pictures, (pictures, C) float32 by name, in files of a folder: memory does not grow."""
    arrays = {
        gate.name: np.lib.format.open_memmap(folder / f'{i}.npy', 'w+', np.float32, (count, gate.channels))
        for i, gate in enumerate(gates)
    }
    start = 0
    for values in gates_on(model, batches, gates):
        stop = start + len(next(iter(values.values())))
        for name, value in values.items():
            arrays[name][start:stop] = value.cpu().numpy()
        start = stop
    return arrays


def save_gates(values: Mapping[str, np.ndarray], pictures: Pictures, path: Path) -> Path:
    """Writes the gates and what is known of the pictures as an ``.npz``, which ``numpy.load`` reads array by array."""
    arrays = {f'gates/{name}': array for name, array in values.items()}
    arrays |= dict(files=pictures.files, class_names=pictures.class_names, classes=pictures.classes)
    if pictures.sizes is not None:
        arrays |= dict(size_names=SIZES, sizes=pictures.sizes)
    elif (pictures.classes.sum(1) == 1).all():
        arrays['labels'] = pictures.classes.argmax(1)
    np.savez(path, **arrays)
    return path
