"""A smaller network without the gates that do next to nothing, as a checkpoint and its config."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import statistics
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import weights_to_cpu
from torch import Tensor, nn

from ..analysis.complexity import parameters_of
from ..analysis.gates import Gate, run_backbone
from ..analysis.pruning import (
    Step,
    blocks_left,
    choose_frozen,
    folded_state,
    gates_named,
    largest_difference,
    why_not_folded,
)
from ..analysis.removal import replaced
from ..benchmarks.measuring import interleaved
from ..config.load import model_of
from ..config.pretrained import without_pretrained
from ..config.tree import MISSING, find
from ..errors import SeMmError, listed
from ..evaluation.metrics import share_lost
from ..export.deployment import TOLERANCE
from ..utils.atomic import write_atomic
from ..utils.paths import make_folder
from ..weights.files import read_checkpoint
from .gates import GateSession, print_table, say, short_names

#: Rounds in which the two networks are timed.
ROUNDS = 15


@dataclasses.dataclass(frozen=True)
class PruneOptions:
    """What is pruned: within a budget, or what is named. One of the first three is given.

    Attributes:
        budget: the largest loss of the metric, as a share (0.001: 0.1 points of mAP or per cent of accuracy).
        stages: indices from 0.
        blocks: names of units.
        metric: that is compared; ``None``: mAP or top-1.
        calibration: training pictures for the mean gates.
        seed: of their choice.
    """

    budget: float | None = None
    stages: Sequence[int] | None = None
    blocks: Sequence[str] | None = None
    metric: str | None = None
    calibration: int = 256
    seed: int = 0


def prune_gates(cfg: Config, checkpoint: str, out: str | Path, options: PruneOptions) -> None:
    """Writes ``pruned.pth``, ``pruned.py`` and ``pruning.json`` into a folder.

    Gates are chosen by the metric on the validation set. The network is evaluated on the test set before
    and after, the second time from the files that were written.

    Args:
        cfg: the config that the checkpoint was trained with.
        checkpoint: a file that a training wrote.
        out: the folder; made where it is missing.
        options: what is pruned.

    Raises:
        SeMmError: if nothing can be pruned so, or the checkpoint, the data or the folder do not fit.
    """
    if [options.budget is not None, bool(options.stages), bool(options.blocks)].count(True) != 1:
        raise SeMmError('PruneOptions: expected one of budget, stages and blocks, to say what is pruned')
    if options.budget is not None and not 0 <= options.budget < 1:
        raise SeMmError(f'--budget is {options.budget}; expected a share of the metric, as 0.001')
    out = Path(out)
    make_folder(out, f'--out {out}')
    by_budget = options.budget is not None
    session = GateSession(cfg, checkpoint, out / 'log', ('val', 'test') if by_budget else ('test',))
    candidates = gates_named(session.gates, options.stages, options.blocks) if not by_budget else session.gates
    foldable = _foldable(candidates, by_budget)
    means, about = session.mean_gates(options.calibration, options.seed)
    say(f'mean gates over {about}')
    metric, name, before = session.metric('test', options.metric)
    frozen, steps = foldable, []
    if by_budget:
        frozen, steps = _within_budget(session, foldable, means, options.budget, (metric, name, before))
    small, state = _pruned(session, frozen, means)
    file, config = _write(session, small, state, frozen, out)
    again = _loaded(session, config, file)
    batch = next(iter(session.loader('test')))
    try:
        _check_same(session, again, frozen, means, batch)
    except SeMmError:
        for written in (file, config):
            written.unlink()
        raise
    milliseconds = _milliseconds({'before': session.model, 'after': again}, batch)
    numbers = {
        name: (before, metric(again)),
        'parameters': (parameters_of(session.model), parameters_of(again)),
        'milliseconds, backbone and neck': (milliseconds['before'], milliseconds['after']),
    }
    names = short_names(session.gates)
    say(f'frozen at the mean, and folded: {", ".join(names[gate.name] for gate in frozen)}')
    rows = [[what, *(_text(value) for value in pair), _change(*pair)] for what, pair in numbers.items()]
    if steps:
        print_table(['gate', 'parameters', 'loss alone', 'loss together', 'frozen'], _step_rows(session, steps))
    print_table(['', 'before', 'after', 'change'], rows)
    content = dict(
        frozen=[gate.name for gate in frozen],
        means=about,
        steps=[dataclasses.asdict(step) for step in steps],
        **{what: dict(before=pair[0], after=pair[1]) for what, pair in numbers.items()},
    )
    write_atomic(out / 'pruning.json', json.dumps(content, indent=1))
    say(f'{config} and {file}; the numbers are in {out / "pruning.json"}')


def _text(value: float) -> str:
    return f'{value:,}' if isinstance(value, int) else f'{value:.4g}'


def _change(before: float, after: float) -> str:
    return f'{after - before:+,}' if isinstance(before, int) else f'{after - before:+.4g}'


def _foldable(candidates: Sequence[Gate], by_budget: bool) -> list[Gate]:
    refused = {gate.name: why_not_folded(gate) for gate in candidates if why_not_folded(gate)}
    foldable = [gate for gate in candidates if gate.name not in refused]
    if refused:
        first = next(iter(refused))
        text = f'{len(refused)} gates cannot be folded ({listed(list(refused), 3)}): {refused[first]}'
        if not by_budget or not foldable:
            raise SeMmError(text)
        say(f'{text}; they stay')
    return foldable


def _within_budget(
    session: GateSession,
    foldable: Sequence[Gate],
    means: Mapping[str, Tensor],
    budget: float,
    tested: tuple[Callable[[Any], float], str, float],
) -> tuple[list[Gate], list[Step]]:
    if session.cfg.val_dataloader.dataset == session.cfg.test_dataloader.dataset:
        say('the config validates and tests on the same pictures: the gates are chosen on those that judge them')
        metric, name, base = tested
    else:
        metric, name, base = session.metric('val', tested[1])
    frozen, steps = choose_frozen(foldable, means, lambda: share_lost(name, base, metric(session.model)), budget)
    if not frozen:
        cheapest = steps[0]
        raise SeMmError(
            f'no gate can be frozen within --budget {budget}: the cheapest, {cheapest.gate}, loses '
            f'{cheapest.alone:.4f} of {name} alone; try a larger budget'
        )
    return frozen, steps


def _pruned(
    session: GateSession, frozen: Sequence[Gate], means: Mapping[str, Tensor]
) -> tuple[Config, dict[str, Tensor]]:
    """The config of the smaller network, and its weights."""
    cfg = copy.deepcopy(session.cfg)
    modules = dict(session.model.named_modules())
    for host in dict.fromkeys(gate.host for gate in frozen):
        node = find(cfg.model, host.split('.')) if host else MISSING
        if node is MISSING or 'type' not in node:
            raise SeMmError(f'the config has no model.{host}: {modules[host].__class__.__name__} is built elsewhere')
        node.attention_blocks = blocks_left(modules[host], [gate for gate in frozen if gate.host == host])
    without_pretrained(cfg.model)
    return cfg, folded_state(session.model.state_dict(), frozen, means)


def _write(
    session: GateSession, cfg: Config, state: Mapping[str, Tensor], frozen: Sequence[Gate], out: Path
) -> tuple[Path, Path]:
    meta = read_checkpoint(session.checkpoint).get('meta') or {}
    kept = {key: meta[key] for key in ('dataset_meta', 'seed', 'mmengine_version') if key in meta}
    kept['pruned_gates'] = [gate.name for gate in frozen]
    file, config = out / 'pruned.pth', out / 'pruned.py'
    cfg.load_from = str(file)
    cfg.pop('work_dir', None)
    weights = OrderedDict(state)
    weights._metadata = session.model.state_dict()._metadata  # which tells the style of the network
    content = io.BytesIO()
    torch.save({'state_dict': weights_to_cpu(weights), 'meta': kept}, content)
    write_atomic(file, content.getvalue())
    write_atomic(config, f'# Written by tools/prune_gates.py from {session.checkpoint}.\n{cfg.pretty_text}')
    return file, config


def _loaded(session: GateSession, config: Path, file: Path) -> nn.Module:
    """The smaller network from its files."""
    model = session.runner.build_model(model_of(Config.fromfile(config)))
    model.load_state_dict(read_checkpoint(file)['state_dict'])
    return model.to(next(session.model.parameters()).device).eval()


@torch.no_grad()
def _check_same(
    session: GateSession, small: nn.Module, frozen: Sequence[Gate], means: Mapping[str, Tensor], batch: Any
) -> None:
    """Refuses a network that is not the large one with frozen gates: a negative gate before a ReLU, for one."""
    with replaced({gate.layer: means[gate.name] for gate in frozen}):
        before = run_backbone(session.model, batch)
    error = largest_difference(before, run_backbone(small, batch))
    if not error <= TOLERANCE:
        raise SeMmError(
            f'folding the means of {listed([gate.name for gate in frozen], 5)} changes the features by {error:.1e}, '
            f'relative to their largest value; they cannot be pruned'
        )


@torch.no_grad()
def _milliseconds(models: Mapping[str, nn.Module], batch: Any) -> dict[str, float]:
    """Medians of the time of a backbone for one batch, the models in turn."""
    runs = {name: partial(run_backbone, model, batch) for name, model in models.items()}
    return {name: 1e3 * statistics.median(each) for name, each in interleaved(runs, ROUNDS, warmup=3).items()}


def _step_rows(session: GateSession, steps: Sequence[Step]) -> list[list[str]]:
    names = short_names(session.gates)
    rows = []
    for step in steps:
        together = '-' if step.together is None else f'{step.together:+.4f}'
        frozen = 'yes' if step.frozen else 'no'
        rows.append([names.get(step.gate, step.gate), f'{step.parameters:,}', f'{step.alone:+.4f}', together, frozen])
    return rows
