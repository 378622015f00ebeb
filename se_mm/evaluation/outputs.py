"""Where a test leaves its predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import SeMmError
from ..utils.paths import make_folder


def add_outputs(cfg: Config, out: str | None, sheet: str | None, confusion: str | None = None) -> None:
    """Makes a test keep its predictions.

    Args:
        cfg: a config to test; changed in place.
        out: ``*.pkl`` for all predictions as mmengine dumps them; ``*.json`` as
            :class:`~se_mm.engine.hooks.predictions.PredictionsHook` writes it.
        sheet: a PNG of predictions beside the ground truth.
        confusion: a PNG of a classifier's confusion matrix and its worst pairs.

    Raises:
        SeMmError: for another ending, a folder that cannot be made, or the confusion matrix of a detector.
    """
    hooks = []
    for option, path, hook in (('sheet', sheet, 'SheetHook'), ('confusion', confusion, 'ConfusionHook')):
        if path:
            if Path(path).suffix != '.png':
                raise SeMmError(f'--{option} {path} must end with .png')
            _make_folder_of(option, path)
            hooks.append(dict(type=f'se_mm.{hook}', path=path))
    if confusion:
        if cfg.get('default_scope') != 'mmpretrain':
            raise SeMmError(f'--confusion is for classifiers; this config is of scope {cfg.get("default_scope")}')
        _add_metric(cfg, dict(type='ConfusionMatrix'))
    if out:
        _make_folder_of('out', out)
        if Path(out).suffix in ('.pkl', '.pickle'):
            dump = 'mmdet.DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
            _add_metric(cfg, dict(type=dump, out_file_path=out))
        elif Path(out).suffix == '.json':
            hooks.append(dict(type='se_mm.PredictionsHook', path=out))
        else:
            raise SeMmError(f'--out {out} must end with .pkl (all predictions) or .json (COCO results, or classes)')
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *hooks]


def _make_folder_of(option: str, path: str) -> None:
    if Path(path).is_dir():
        raise SeMmError(f'--{option} {path} is a folder; expected the name of a file to write')
    make_folder(Path(path).parent, f'--{option} {Path(path).parent}')


def _add_metric(cfg: Config, metric: dict[str, Any]) -> None:
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    cfg.test_evaluator = [*evaluators, metric]
