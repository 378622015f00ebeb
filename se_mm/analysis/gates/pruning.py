"""Gates that are frozen at their mean: which cost next to nothing, and how they become part of a norm."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.runner.checkpoint import weights_to_cpu
from torch import Tensor, nn
from tqdm import tqdm

from ...config.classifiers import read_trained
from ...config.load import model_of
from ...config.pretrained import without_pretrained
from ...config.tree import MISSING, find
from ...errors import SeMmError, listed
from ...evaluation.metrics import share_lost
from ...models.deploy import TOLERANCE, relative_error
from ...models.hosts.adapters import find_adapter
from ...models.hosts.attention_host import AttentionHost
from ...models.hosts.sites import Site, rescaled, units_per_stage
from ...utils.atomic import write_atomic
from ...utils.console import say
from .find import Gate, native_sites
from .record import run_backbone
from .removal import replaced
from .study import Metric, Study


@dataclass(frozen=True)
class Step:
    """A gate that was tried: what the metric loses, as a share."""

    gate: str
    parameters: int
    #: Where this gate alone is frozen.
    alone: float
    #: Where those that were kept before are frozen too; ``None``: not tried.
    together: float | None
    #: Whether it is kept frozen.
    frozen: bool


def choose_frozen(
    gates: Sequence[Gate], means: Mapping[str, Tensor], loss: Callable[[], float], budget: float
) -> tuple[list[Gate], list[Step]]:
    """Gates that can be frozen at their means, together, for a loss within a budget.

    Each is frozen alone first. Then, from the cheapest on, each is added to those that are frozen, and stays
    where the loss of all of them together is within the budget.

    Args:
        gates: that can be folded.
        means: of :func:`~.removal.mean_gates`.
        loss: measures what the metric loses with the model as it is at the moment, as a share.
        budget: the largest loss.

    Returns:
        The frozen gates in the order of the network, and what was tried, the cheapest first.
    """

    def loss_without(some: Sequence[Gate]) -> float:
        with replaced(some, means):
            return loss()

    by_unit: dict[Any, list[Gate]] = {}  # the branches of a Shake-Shake unit have a gate each
    for gate in gates:
        by_unit.setdefault((gate.host, gate.site.stage, gate.site.block), []).append(gate)
    units = list(by_unit.values())
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


def freeze_within(
    study: Study, gates: Sequence[Gate], means: Mapping[str, Tensor], budget: float, tested: Metric
) -> tuple[list[Gate], list[Step]]:
    """:func:`choose_frozen` by the metric on the validation set, which the test set's stands for where they are one.

    Raises:
        SeMmError: if each gate alone loses more.
    """
    if study.cfg.val_dataloader.dataset == study.cfg.test_dataloader.dataset:
        say('the config validates and tests on the same pictures: the gates are chosen on those that judge them')
        evaluate, name, before = tested
    else:
        evaluate, name, before = study.metric('val', tested[1])
    frozen, steps = choose_frozen(gates, means, lambda: share_lost(name, before, evaluate(study.model)), budget)
    if not frozen:
        raise SeMmError(
            f'no gate can be frozen within --budget {budget}: the cheapest, {steps[0].gate}, loses '
            f'{steps[0].alone:.4f} of {name} alone; try a larger budget'
        )
    return frozen, steps


def gates_named(
    gates: Sequence[Gate], stages: Sequence[int] | None = None, blocks: Sequence[str] | None = None
) -> list[Gate]:
    """The gates of some stages (from 0), or of units by name (``'layer4.0'``); all of them where neither is given.

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
    if blocks is None:
        return list(gates)
    chosen = []
    for block in blocks:
        found = [gate for gate in gates if gate.name == block or (gate.site and gate.site.name == block)]
        if not found:
            raise SeMmError(
                f'--blocks: {block} has no gate; those with gates are {listed([g.name for g in gates], 60)}'
            )
        chosen += found
    return [gate for gate in gates if gate in chosen]


def foldable(gates: Sequence[Gate], some_may_stay: bool = False) -> list[Gate]:
    """The gates whose means can become part of the weights beside them; a line for the user says which stay.

    Raises:
        SeMmError: if one cannot and none may stay, or none can.
    """
    reasons = {}
    for gate in gates:
        if gate.site is None:
            reasons[gate.name] = 'it stands at no site of a host, and no argument of a backbone leaves it out'
        elif not gate.site.compensation:
            reasons[gate.name] = gate.site.obstacle or 'there are no weights that a constant could go into'
    found = [gate for gate in gates if gate.name not in reasons]
    if reasons:
        text = f'{len(reasons)} gates cannot be folded ({listed(list(reasons), 3)}): {next(iter(reasons.values()))}'
        if not some_may_stay or not found:
            raise SeMmError(text)
        say(f'{text}; they stay')
    return found


def fold_mean(site: Site, mean: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a host that change with a constant gate s, (C,), in them: ``s * (a x + b) = (s a) x + s b``."""
    changed: dict[str, Tensor] = {}
    for part in site.compensation:
        value = changed.get(part.name, weights[part.name])
        changed[part.name] = rescaled(value.double(), part, mean.double()).to(value.dtype)
    return changed


def folded_state(model: nn.Module, frozen: Iterable[Gate], means: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A model's state dict without some gates, their means folded into what stands beside them."""
    state = model.state_dict()  # torch keeps the version and style of the network as an attribute of it
    for gate in frozen:
        prefix = f'{gate.host}.' if gate.host else ''
        host = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        changed = fold_mean(gate.site, means[gate.name], host)
        state.update({f'{prefix}{name}': value for name, value in changed.items()})
        own = f'{gate.name}.{gate.site.native or "se"}.'
        for key in [key for key in state if key.startswith(own)]:
            del state[key]
    return state


def blocks_left(host: AttentionHost, frozen: Iterable[Gate]) -> list[list[int] | None]:
    """``attention_blocks`` of a host without some of its gates; ``None`` for a stage that stays as it is.

    Example:
        >>> from se_mm import SEResNet
        >>> from se_mm.analysis.gates.find import find_gates
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


def arguments_without(host: nn.Module, frozen: Sequence[Gate]) -> dict[str, Any]:
    """The arguments in a config that leave some gates out of a host, or out of a network with gates of its own."""
    native = {gate.site.name for gate in frozen if gate.site.native}
    adapted, arguments = isinstance(host, AttentionHost), {}
    if not adapted:
        package = type(host).__module__.partition('.')[0]
        arguments = dict(type='se_mm.SETwin', host=f'{package}.{type(host).__name__}', attention_stages=[])
    elif ours := [gate for gate in frozen if not gate.site.native]:
        arguments['attention_blocks'] = blocks_left(host, ours)
    if native:
        adapter = host.adapter if adapted else find_adapter(host)
        left: list[list[int] | None] = [None] * adapter.num_stages(host)
        for stage in {gate.site.stage for gate in frozen if gate.site.native}:
            left[stage] = [s.block for s in native_sites(host) if s.stage == stage and s.name not in native]
        arguments['native_blocks'] = left
    return arguments


@torch.no_grad()
def write_pruned(study: Study, frozen: Sequence[Gate], means: Mapping[str, Tensor], batch: Any, out: Path) -> nn.Module:
    """Writes the network without some gates as ``pruned.pth`` and ``pruned.py``, and returns it, in evaluation.

    Raises:
        SeMmError: if the config does not name a host, or the network is not the one with frozen gates: a negative
            gate before a ReLU, for one. Then nothing is written.
    """
    cfg = copy.deepcopy(study.cfg)
    modules = dict(study.model.named_modules())
    for host in dict.fromkeys(gate.host for gate in frozen):
        node = find(cfg.model, host.split('.')) if host else MISSING
        if node is MISSING or 'type' not in node:
            raise SeMmError(f'the config has no model.{host}: {modules[host].__class__.__name__} is built elsewhere')
        node.update(arguments_without(modules[host], [gate for gate in frozen if gate.host == host]))
        cfg.setdefault('custom_imports', dict(imports=['se_mm'], allow_failed_imports=False))
    without_pretrained(cfg.model)
    small = study.runner.build_model(model_of(cfg))
    small.load_state_dict(folded_state(study.model, frozen, means))
    small.to(next(study.model.parameters()).device).eval()
    with replaced(frozen, means):
        before = run_backbone(study.model, batch)
    error = largest_difference(before, run_backbone(small, batch))
    if not error <= TOLERANCE:
        raise SeMmError(
            f'folding the means of {listed([gate.name for gate in frozen], 5)} changes the features by {error:.1e}, '
            f'relative to their largest value; they cannot be pruned'
        )
    meta = read_trained(study.checkpoint).get('meta') or {}
    kept = {key: meta[key] for key in ('dataset_meta', 'seed', 'mmengine_version') if key in meta}
    kept['pruned_gates'] = [gate.name for gate in frozen]
    content = io.BytesIO()
    torch.save({'state_dict': weights_to_cpu(small.state_dict()), 'meta': kept}, content)
    write_atomic(out / 'pruned.pth', content.getvalue())
    cfg.load_from = str(out / 'pruned.pth')
    cfg.pop('work_dir', None)
    write_atomic(out / 'pruned.py', f'# Written by tools/prune_gates.py from {study.checkpoint}.\n{cfg.pretty_text}')
    return small


def largest_difference(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """Of two sets of maps, relative to the largest value of each map; NaN where a map has one."""
    return float(np.max([relative_error(b, a) for b, a in zip(before, after, strict=True)]))
