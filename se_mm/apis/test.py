"""Evaluation."""

# ruff: noqa: PT028 (the function is a command, and no test of pytest)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mmengine
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS

from ..config.test_time import use_test_time_augmentation
from ..config.tree import nodes
from ..datasets.imagenet import use_wordnet_ids
from ..datasets.validation import preflight
from ..engine import runner as run
from ..engine.evaluation import deploy, load_weights, without_averaging
from ..engine.launcher import join_processes
from ..engine.switches import guard_data
from ..errors import SeMmError
from ..evaluation.outputs import add_outputs
from ..export.exported_model import use_exported
from ..export.runtimes import ExportedFile
from ..utils.type_names import type_name
from ..visualization.backends import add_log_backends
from ..weights.published import is_published


def test(
    cfg: Config,
    model: str | ExportedFile,
    out: str | None = None,
    sheet: str | None = None,
    confusion: str | None = None,
    tta: Sequence[str] | bool | None = None,
    deployed: bool = False,
    among: bool = False,
    log: Sequence[str] = (),
    progress: bool = False,
) -> dict[str, float]:
    """Evaluates a trained model on the test data of a config.

    Args:
        cfg: of :func:`se_mm.config.load.load_config`.
        model: a checkpoint, an exported file, or the name of a published classifier that is in the config
            (:func:`se_mm.config.classifiers.use_published`).
        out, sheet, confusion: files to write (:func:`se_mm.evaluation.outputs.add_outputs`).
        tta: the views of :func:`se_mm.config.test_time.use_test_time_augmentation`; ``True``, none: the config's.
        deployed: whether the norms of the SE backbones are folded first.
        among: whether a published classifier chooses among the classes of the folders alone.
        log, progress: as in :func:`se_mm.apis.train.train`.

    Returns:
        The metrics.

    Raises:
        SeMmError: if the model does not fit the config, or its data cannot be read.
        RunError: if another package fails; the log file has the traceback.
    """
    exported = isinstance(model, ExportedFile)
    tested = tta is not None and tta is not False
    if exported and (tested or deployed or cfg.get('launcher', 'none') != 'none'):
        raise SeMmError(f'{model.path} is an exported file: --tta, --deploy and --launcher are for checkpoints')
    cfg.load_from, cfg.resume = None, False
    join_processes(cfg)
    rows = use_wordnet_ids(cfg, among) if is_published(str(model)) else None
    if among and rows is None:
        raise SeMmError('--among-folders is for published classifiers of ImageNet (timm://, mmcls://)')
    preflight.check(cfg, ('test',))
    for _, node in nodes(cfg.get('test_evaluator')):
        if type_name(node) == 'CocoMetric':
            node.setdefault('classwise', True)
    add_outputs(cfg, out, sheet, confusion)
    if tested:
        use_test_time_augmentation(cfg, () if tta is True else tta)
    add_log_backends(cfg, log)
    runner = run.build_runner(cfg, guard_data, progress)
    if exported:
        without_averaging(runner)
        use_exported(runner, model)
    else:
        load_weights(runner, model, rows)
    if deployed:
        deploy(runner.model)
    return run.test(runner)


def ensemble(members: Sequence[tuple[Config, str]], out: str | None = None, **options: Any) -> dict[str, float]:
    """Evaluates classifiers together: the mean of their softmax outputs, as the paper's entry to ILSVRC 2017.

    Args:
        members: the config and the checkpoint (or published name) of each, on the same pictures in the same order.
        out: a file of pickled predictions to write.
        **options: of :func:`test`, of each.

    Returns:
        The metrics of the first config.

    Raises:
        SeMmError: as :func:`test`, for detectors, for several processes, and if the pictures are not the same.
    """
    if any(cfg.get('default_scope') != 'mmpretrain' or cfg.get('launcher', 'none') != 'none' for cfg, _ in members):
        raise SeMmError('--ensemble averages classifiers, in one process')
    found = []
    with TemporaryDirectory() as folder:
        for number, (cfg, model) in enumerate(members):
            file = Path(folder, f'{number}.pkl')
            test(cfg, model, out=str(file), **options)
            found.append(mmengine.load(file))
    samples = [_average(parts) for parts in zip(*found, strict=True)]
    if out:
        mmengine.dump(samples, out, file_format='pkl')
    metrics = [metric for metric in members[0][0].test_evaluator if metric['type'] != 'DumpResults']
    with METRICS.switch_scope_and_registry('mmpretrain'):
        return Evaluator(metrics).offline_evaluate(samples)


def _average(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A picture's sample with the mean of the scores that each member gave it."""
    paths = {part['img_path'] for part in parts}
    scores = [part['pred_score'] for part in parts]
    if len(paths) > 1 or len({len(score) for score in scores}) > 1:
        raise SeMmError(f'--ensemble: not the same pictures and classes: {", ".join(map(str, sorted(paths)))}')
    mean = torch.stack(scores).mean(0)
    return {**parts[0], 'pred_score': mean, 'pred_label': mean.argmax(0, keepdim=True)}
