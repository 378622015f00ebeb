"""A smaller network without the gates that do next to nothing, as a checkpoint and its config."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from mmengine.config import Config

from ..analysis.complexity import parameters_of
from ..analysis.gates.pruning import foldable, freeze_within, gates_named, write_pruned
from ..analysis.gates.record import run_backbone
from ..analysis.gates.report import report_pruning
from ..analysis.gates.study import Study
from ..benchmarks.measuring import interleaved
from ..errors import SeMmError
from ..utils.console import say
from ..utils.paths import make_folder

#: Rounds in which the two networks are timed.
ROUNDS = 15


def prune_gates(
    cfg: Config,
    checkpoint: str,
    out: str | Path,
    *,
    budget: float | None = None,
    stages: Sequence[int] | None = None,
    blocks: Sequence[str] | None = None,
    metric: str | None = None,
    calibration: int = 256,
    seed: int = 0,
) -> None:
    """Writes ``pruned.pth``, ``pruned.py`` and ``pruning.json`` into a folder.

    Gates are chosen by the metric on the validation set, or by name; one of ``budget``, ``stages`` and ``blocks`` is
    given. Both networks are evaluated on the test set.

    Args:
        cfg: the config that the checkpoint was trained with.
        checkpoint: a file that a training wrote.
        out: the folder; made where it is missing.
        budget: the largest loss of the metric, as a share (0.001: 0.1 points of mAP or per cent of accuracy).
        stages: indices from 0.
        blocks: names of units.
        metric: that is compared; ``None``: mAP or top-1.
        calibration: training pictures for the mean gates.
        seed: of their choice.

    Raises:
        SeMmError: if nothing can be pruned so, or the checkpoint, the data or the folder do not fit.
    """
    if [budget is not None, bool(stages), bool(blocks)].count(True) != 1:
        raise SeMmError('prune_gates: expected one of budget, stages and blocks, to say what is pruned')
    if budget is not None and not 0 <= budget < 1:
        raise SeMmError(f'--budget is {budget}; expected a share of the metric, as 0.001')
    out = Path(out)
    make_folder(out, f'--out {out}')
    study = Study(cfg, checkpoint, out / 'log', ('test',) if budget is None else ('val', 'test'))
    candidates = foldable(gates_named(study.gates, stages or None, blocks or None), some_may_stay=budget is not None)
    means, source = study.mean_gates(calibration, seed)
    tested = evaluate, name, before = study.metric('test', metric)
    frozen, steps = candidates, []
    if budget is not None:
        frozen, steps = freeze_within(study, candidates, means, budget, tested)
    batch = next(iter(study.loader('test')))
    small = write_pruned(study, frozen, means, batch, out)
    with torch.no_grad():
        runs = {model: partial(run_backbone, model, batch) for model in (study.model, small)}
        seconds = interleaved(runs, ROUNDS, warmup=3)
    numbers = {
        name: (before, evaluate(small)),
        'parameters': (parameters_of(study.model), parameters_of(small)),
        'milliseconds, backbone and neck': tuple(1e3 * statistics.median(each) for each in seconds.values()),
    }
    report_pruning(study.gates, frozen, source, steps, numbers, out)
    say(f'{out / "pruned.py"} and pruned.pth; the numbers are in pruning.json beside them')
