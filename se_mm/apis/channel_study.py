"""Which ranking of channels a pruned network keeps its metric with: gates, activations or weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from ..analysis.channel_pruning import SCORES, channel_activity, prune_channels, recalibrate_norms
from ..analysis.complexity import parameters_of
from ..errors import SeMmError
from ..utils.atomic import write_atomic
from ..utils.paths import make_folder
from .gates import GateSession, print_table, say


def study_channels(
    cfg: Config,
    checkpoint: str,
    out: str | Path,
    ratios: Sequence[float],
    metric: str | None = None,
    calibration: int = 256,
    seed: int = 0,
) -> None:
    """Measures the metric of networks without some of their channels, and writes ``channels.json``.

    Each share of the channels is pruned by each ranking, the norms take their statistics from the calibration
    set, and the network is evaluated on the test set. Nothing is trained in between.

    Args:
        cfg: the config that the checkpoint was trained with.
        checkpoint: a file that a training wrote.
        out: a folder; made where it is missing.
        ratios: the shares, between 0 and 1.
        metric: that is compared; ``None``: mAP or top-1.
        calibration: training pictures, for the activations and the norms.
        seed: of their choice.

    Raises:
        SeMmError: as :func:`se_mm.analysis.channel_pruning.prune_channels`, and for files that do not fit.
    """
    wrong = [ratio for ratio in ratios if not 0 < ratio < 1]
    if wrong:
        raise SeMmError(f'--channels is {wrong[0]}; expected shares of the channels between 0 and 1')
    out = Path(out)
    make_folder(out, f'--out {out}')
    session = GateSession(cfg, checkpoint, out / 'log')
    loader, indices, about = session.calibration(calibration, seed)
    batches = list(session.batches_of(loader, indices, 'calibration'))
    activity = channel_activity(session.model, batches, session.gates)
    evaluate, name, before = session.metric('test', metric)
    image = session.model.data_preprocessor(batches[0], False)['inputs'][:1]
    parameters = parameters_of(session.model)
    say(f'{name} {before:.4g}, {parameters:,} parameters; norms and activations from {about}')
    rows, found = [], []
    for ratio in ratios:
        row = [f'{ratio:.0%}']
        for score in SCORES:
            small = prune_channels(session.model, image, session.gates, activity, ratio, score)
            recalibrate_norms(small, batches)
            value, left = evaluate(small), parameters_of(small)
            found.append(dict(ratio=ratio, score=score, parameters=left, metric=value))
            row.append(f'{value:.4g}')
        rows.append([*row, f'{left:,}'])
    print_table(['channels pruned', *SCORES, 'parameters'], rows)
    content = dict(metric=name, before=before, parameters=parameters, calibration=about, pruned=found)
    write_atomic(out / 'channels.json', json.dumps(content, indent=1))
