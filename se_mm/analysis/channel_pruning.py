"""Channels that are pruned by what their gates let through, with Torch-Pruning (Fang et al., arXiv 2301.12900)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import SeMmError
from .gates import Gate, channel_gate, has_gate, looks_on, run_backbone

#: What a channel of the residual stream is ranked by. ``'magnitude'``: the norm of the weights that go with it,
#: Torch-Pruning's own; ``'activation'``: E|u|; ``'gate'``: E[s] E|u|, summed over the units that write into it.
SCORES = ('magnitude', 'activation', 'gate')


def channel_activity(
    model: nn.Module, batches: Iterable[Any], gates: Sequence[Gate]
) -> dict[str, tuple[Tensor, Tensor]]:
    """E[s] and E|u| of each channel over pictures, (C,) each, by the name of the gate.

    Args:
        model: as for :func:`se_mm.analysis.gates.gates_on`.
        batches: of the calibration set.
        gates: of :func:`se_mm.analysis.gates.find_gates`.
    """

    def look(layer: nn.Module, u: Tensor) -> Tensor:
        return torch.stack([channel_gate(layer, u), u.detach().float().abs().mean((2, 3))], 1)

    sums: dict[str, Tensor] = {}
    count = 0
    for values in looks_on(model, batches, gates, look):
        for name, value in values.items():
            sums[name] = sums.get(name, 0) + value.double().sum(0)
        count += len(value)
    if not count:
        raise SeMmError('the calibration set is empty: there is no picture to rank channels by')
    return {name: (total[0] / count, total[1] / count) for name, total in sums.items()}


def prune_channels(
    model: nn.Module,
    image: Tensor,
    gates: Sequence[Gate],
    activity: Mapping[str, tuple[Tensor, Tensor]],
    ratio: float,
    score: str,
) -> nn.Module:
    """A copy of a model without some channels of its residual streams.

    The maps of a stage that are added together lose the same channels, and so do the gates on them and what
    reads them. Other channels (between the convolutions of a unit, of the head) stay. The same share of each
    stream is pruned, whatever ranks its channels.

    Args:
        model: a classifier of mmpretrain, or a detector of mmdet.
        image: a batch that the data preprocessor has normalised, to trace the model with.
        gates: that stand behind a norm.
        activity: of :func:`channel_activity`.
        ratio: the share of the channels.
        score: one of :data:`SCORES`.

    Raises:
        SeMmError: if Torch-Pruning is not installed, or the arguments are not of these.
    """
    pruning = _torch_pruning()
    if not 0 < ratio < 1:
        raise SeMmError(f'--channels is {ratio}; expected shares of the channels between 0 and 1')
    small = copy.deepcopy(model).eval()
    norms = {small.get_submodule(_norm_of(gate)): activity[gate.name] for gate in gates}
    # What has a hook is called as a module, so that the tracing sees every layer: no fused form.
    handles = [m.register_forward_hook(lambda *_: None) for m in small.modules() if has_gate(m)]
    try:
        pruning.pruner.BasePruner(
            small,
            image,
            _importance(pruning, norms, score),
            pruning_ratio=ratio,
            forward_fn=_traced,
        ).step()
    finally:
        for handle in handles:
            handle.remove()
    return small


def _torch_pruning() -> Any:
    try:
        import torch_pruning
    except ImportError as error:
        raise SeMmError("--channels needs Torch-Pruning; in the clone of se_mm: pip install '.[pruning]'") from error
    return torch_pruning


def _norm_of(gate: Gate) -> str:
    parts = gate.site.compensation if gate.site else ()
    if len(parts) != 2:
        raise SeMmError(f'{gate.name}: --channels ranks the maps that a norm writes, and this gate has none before it')
    return '.'.join(part for part in (gate.host, parts[0].name.rpartition('.')[0]) if part)


def _traced(model: nn.Module, image: Tensor) -> Any:
    """The outputs in which all channels end: the class scores, or the maps of the neck."""
    return model(image, mode='tensor') if hasattr(model, 'head') else model.extract_feat(image)


def _importance(
    pruning: Any, norms: Mapping[nn.Module, tuple[Tensor, Tensor]], score: str
) -> Callable[[Any], Tensor | None]:
    """The score of each channel of a group; ``None`` (which is left alone) for one that no gate scales."""
    magnitude = pruning.importance.GroupMagnitudeImportance()

    def importance(group: Any) -> Tensor | None:
        found = [(norms[dep.layer], idxs) for dep, idxs in group if dep.layer in norms]
        if not found:
            return None
        if score == 'magnitude':
            return magnitude(group)
        values = [(s if score == 'gate' else 1) * u for (s, u), _ in found]
        return sum(value[idxs] for value, (_, idxs) in zip(values, found, strict=True)).float()

    return importance


@torch.no_grad()
def recalibrate_norms(model: nn.Module, batches: Iterable[Any]) -> None:
    """Takes the statistics of the batch norms anew from some pictures, as is usual after pruning."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    try:
        for batch in batches:
            run_backbone(model, batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
