"""Training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from ..config import pretrained
from ..datasets.validation import preflight
from ..engine import runner as run
from ..engine import switches as apply
from ..engine.launcher import join_processes
from ..engine.run_folder import own_folder
from ..visualization.backends import add_log_backends


def train(cfg: Config, log: Sequence[str] = (), progress: bool = False, **switches: Any) -> Runner:
    """Trains a detector or a classifier as ``tools/train.py`` does: its data are checked, and it can be resumed.

    Args:
        cfg: of :func:`se_mm.config.load.load_config`; ``cfg.launcher`` names what started several processes.
        log: other places for metrics and pictures: ``'tensorboard'``, ``'wandb'``, ``'mlflow'``.
        progress: whether a summary, a progress line and the metrics are shown.
        switches: of :func:`~se_mm.engine.switches.apply_training_switches`, as ``resume='auto'`` or ``ema=0.0002``.

    Returns:
        The runner after the training; ``runner.work_dir`` has what it wrote
        (:func:`~se_mm.engine.run_folder.own_folder`).

    Raises:
        SeMmError: if the config, its data or a switch asks for what there is not.
        RunError: if another package fails; the log file has the traceback.
    """
    join_processes(cfg)
    with own_folder(cfg, switches.get('resume') or (cfg.get('load_from') or 'auto' if cfg.get('resume') else None)):
        apply.apply_training_switches(cfg, **switches)
        add_log_backends(cfg, log)
        asked = copy.deepcopy(cfg)
        preflight.check(cfg, ('train', 'val'))
        pretrained.fetch(cfg)
        runner = run.build_runner(cfg, apply.make_survivable, progress, asked)
        run.train(runner)
    return runner
