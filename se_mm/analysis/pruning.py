"""Gates that are frozen at their mean: which cost next to nothing, and how they become part of a norm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from ..errors import SeMmError, listed
from ..export.deployment import relative_error
from ..models.hosts.attention_host import AttentionHost
from ..models.hosts.sites import Site, rescaled, units_per_stage
from .gates import Gate
from .removal import replaced


@dataclass(frozen=True)
class Step:
    """A gate that was tried.

    Attributes:
        gate: the name.
        parameters: of its layer.
        alone: what the metric loses where this gate alone is frozen, as a share.
        together: what it loses where those that were kept before are frozen too; ``None``: not tried.
        frozen: whether it is kept frozen.
    """

    gate: str
    parameters: int
    alone: float
    together: float | None
    frozen: bool


def choose_frozen(
    gates: Sequence[Gate], means: Mapping[str, Tensor], loss: Callable[[], float], budget: float
) -> tuple[list[Gate], list[Step]]:
    """Gates that can be frozen at their means, together, for a loss within a budget.

    Each is frozen alone first. Then, from the cheapest on, each is added to those that are frozen, and stays
    where the loss of all of them together is within the budget.

    Args:
        gates: that can be folded.
        means: of :func:`se_mm.analysis.removal.mean_gates`.
        loss: what the metric loses with the model as it is at the moment, as a share.
        budget: the largest loss.

    Returns:
        The frozen gates in the order of the network, and what was tried, the cheapest first.
    """

    def loss_without(some: Sequence[Gate]) -> float:
        with replaced({gate.layer: means[gate.name] for gate in some}):
            return loss()

    units = list(_units(gates))
    alone = [loss_without(unit) for unit in tqdm(units, 'each gate alone', disable=None)]
    parameters = [sum(gate.parameters for gate in unit) for unit in units]
    frozen: list[Gate] = []
    steps = []
    for i in tqdm(sorted(range(len(units)), key=lambda i: (alone[i], -parameters[i])), 'together', disable=None):
        together = loss_without([*frozen, *units[i]]) if alone[i] <= budget else None
        kept = together is not None and together <= budget
        frozen += units[i] if kept else []
        steps.append(Step(' + '.join(gate.name for gate in units[i]), parameters[i], alone[i], together, kept))
    return [gate for gate in gates if gate in frozen], steps


def _units(gates: Iterable[Gate]) -> Iterable[list[Gate]]:
    """Gates that ``attention_blocks`` leaves out together: the branches of a Shake-Shake unit have one each."""
    units: dict[Any, list[Gate]] = {}
    for gate in gates:
        units.setdefault((gate.host, gate.site.stage, gate.site.block), []).append(gate)
    return units.values()


def gates_named(
    gates: Sequence[Gate], stages: Sequence[int] | None = None, blocks: Sequence[str] | None = None
) -> list[Gate]:
    """The gates of some stages, or of some units.

    Args:
        gates: of :func:`se_mm.analysis.gates.find_gates`.
        stages: indices from 0, as in ``attention_stages``.
        blocks: names of units, with or without the host's before them (``'layer4.0'``).

    Raises:
        SeMmError: if a stage or a unit has no gate.
    """
    if stages is not None:
        known = sorted({gate.site.stage for gate in gates if gate.site})
        unknown = [str(stage) for stage in stages if stage not in known]
        if unknown:
            raise SeMmError(
                f'--stages: no gate stands in stage {", ".join(unknown)}; the stages with gates are {known}'
            )
        return [gate for gate in gates if gate.site and gate.site.stage in stages]
    chosen = []
    for block in blocks or ():
        found = [gate for gate in gates if gate.name == block or (gate.site and gate.site.name == block)]
        if not found:
            raise SeMmError(
                f'--blocks: {block} has no gate; those with gates are {listed([g.name for g in gates], 60)}'
            )
        chosen += found
    return [gate for gate in gates if gate in chosen]


def why_not_folded(gate: Gate) -> str:
    """Why the mean of a gate cannot become part of the weights beside it; empty where it can.

    Example:
        >>> from torch import nn
        >>> why_not_folded(Gate('neck.se', nn.Identity(), 8))
        'it is a plugin, which no argument of a backbone leaves out'
    """
    if gate.site is None:
        return 'it is a plugin, which no argument of a backbone leaves out'
    return '' if gate.site.compensation else gate.site.obstacle or 'there are no weights that a constant could go into'


def fold_mean(site: Site, mean: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a host with a constant gate in them: ``s * (a x + b) = (s a) x + s b``.

    Args:
        site: where the gate stands.
        mean: s, (C,).
        weights: of the host.

    Returns:
        Those that change, see :attr:`~se_mm.models.hosts.sites.Site.compensation`.
    """
    changed: dict[str, Tensor] = {}
    for part in site.compensation:
        value = changed.get(part.name, weights[part.name])
        changed[part.name] = rescaled(value.double(), part, mean.double()).to(value.dtype)
    return changed


def folded_state(state: Mapping[str, Tensor], frozen: Iterable[Gate], means: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A model's state dict without some gates, their means folded into what stands beside them.

    Args:
        state: of the model; it is not changed.
        frozen: gates in hosts.
        means: s by the name of the gate, (C,).
    """
    pruned = dict(state)
    for gate in frozen:
        prefix = f'{gate.host}.' if gate.host else ''
        host = {key.removeprefix(prefix): value for key, value in pruned.items() if key.startswith(prefix)}
        changed = fold_mean(gate.site, means[gate.name], host)
        pruned |= {f'{prefix}{name}': value for name, value in changed.items()}
        layer = f'{gate.name}.se.'
        pruned = {key: value for key, value in pruned.items() if not key.startswith(layer)}
    return pruned


def blocks_left(host: AttentionHost, frozen: Iterable[Gate]) -> list[list[int] | None]:
    """``attention_blocks`` of a host without some of its gates; ``None`` for a stage that stays as it is.

    Example:
        >>> from se_mm import SEResNet
        >>> from se_mm.analysis.gates import find_gates
        >>> host = SEResNet(18)
        >>> blocks_left(host, gates_named(find_gates(host), blocks=['layer3.1', 'layer4.0', 'layer4.1']))
        [None, None, [0], []]

    Raises:
        SeMmError: if a unit has several gates, and not all of them are frozen.
    """
    names = {gate.site.name for gate in frozen}
    gone = {(gate.site.stage, gate.site.block) for gate in frozen}
    left = [s.name for s in host.attention_sites() if (s.stage, s.block) in gone and s.name not in names]
    if left:
        raise SeMmError(f'the gates of a unit go together: name {listed(left)} too')
    kept = [[b for b in blocks if (stage, b) not in gone] for stage, blocks in enumerate(host.attention_blocks)]
    units = units_per_stage(host.adapter.sites(host, host.attention_position), len(kept))
    return [None if len(blocks) == count else blocks for blocks, count in zip(kept, units, strict=True)]


def largest_difference(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """Of two sets of maps, relative to the largest value of each map.

    Example:
        >>> import torch
        >>> largest_difference([torch.tensor([1.0, 4.0])], [torch.tensor([1.0, 3.0])])
        0.25
    """
    errors = [relative_error(b, a) for b, a in zip(before, after, strict=True)]
    return float(np.max(errors))  # unlike max(), NaN where there is one
