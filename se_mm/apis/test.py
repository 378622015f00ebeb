"""Evaluation."""

# ruff: noqa: PT028 (the function is a command, and no test of pytest)

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import Config

from ..datasets.validation import preflight
from ..engine import runner as run
from ..engine.evaluation import deploy, load_weights, use_test_time_augmentation, without_averaging
from ..engine.launcher import join_processes
from ..engine.switches import guard_data
from ..errors import SeMmError
from ..evaluation.outputs import add_outputs
from ..export.exported_model import use_exported
from ..export.runtimes import ExportedFile
from ..visualization.backends import add_log_backends


def test(
    cfg: Config,
    model: str | ExportedFile,
    out: str | None = None,
    sheet: str | None = None,
    confusion: str | None = None,
    tta: bool = False,
    deployed: bool = False,
    log: Sequence[str] = (),
    progress: bool = False,
) -> dict[str, float]:
    """Evaluates a trained model on the test data of a config.

    Args:
        cfg: of :func:`se_mm.config.load.load_config`.
        model: a checkpoint, or an exported file.
        out, sheet, confusion: files to write (:func:`se_mm.evaluation.outputs.add_outputs`).
        tta: whether the config's test-time augmentation is used.
        deployed: whether the norms of the SE backbones are folded first.
        log, progress: as in :func:`se_mm.apis.train.train`.

    Returns:
        The metrics.

    Raises:
        SeMmError: if the model does not fit the config, or its data cannot be read.
        RunError: if another package fails; the log file has the traceback.
    """
    exported = isinstance(model, ExportedFile)
    if exported and (tta or deployed or cfg.get('launcher', 'none') != 'none'):
        raise SeMmError(f'{model.path} is an exported file: --tta, --deploy and --launcher are for checkpoints')
    cfg.load_from, cfg.resume = None, False
    join_processes(cfg)
    preflight.check(cfg, ('test',))
    add_outputs(cfg, out, sheet, confusion)
    if tta:
        use_test_time_augmentation(cfg)
    add_log_backends(cfg, log)
    runner = run.build_runner(cfg, guard_data, progress)
    if exported:
        without_averaging(runner)
        use_exported(runner, model)
    else:
        load_weights(runner, model)
    if deployed:
        deploy(runner.model)
    return run.test(runner)
