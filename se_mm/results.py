"""Where a test leaves its predictions."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from .errors import SeMmError


def add_outputs(cfg: Config, out: str | None, sheet: str | None, confusion: str | None = None) -> None:
    """Makes a test keep its predictions.

    Args:
        cfg: a config to test; changed in place.
        out: ``*.pkl`` for all predictions as mmengine dumps them, ``*.json`` for COCO results.
        sheet: a PNG of predictions beside the ground truth.
        confusion: a PNG of a classifier's confusion matrix and its worst pairs.

    Raises:
        SeMmError: for a name with another ending, or COCO results of a model that is no
            detector, or a confusion matrix of one that is no classifier.
    """
    for option, file in (('--sheet', sheet), ('--confusion', confusion)):
        if file and Path(file).suffix != '.png':
            raise SeMmError(f'{option} {file} must end with .png')
    if sheet and cfg.get('default_scope') != 'mmdet':
        raise SeMmError(f'--sheet is for detectors; this config is of scope {cfg.get("default_scope")}')
    if sheet:
        Path(sheet).parent.mkdir(parents=True, exist_ok=True)
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='se_mm.SheetHook', path=sheet)]
    if confusion:
        _add_confusion(cfg, confusion)
    if not out:
        return
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    if path.suffix in ('.pkl', '.pickle'):
        dump = 'mmdet.DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
        cfg.test_evaluator = [*evaluators, dict(type=dump, out_file_path=out)]
    elif path.suffix == '.json':
        coco = [evaluator for evaluator in evaluators if str(evaluator.type).endswith('CocoMetric')]
        if not coco:
            raise SeMmError(f'--out {out}: only a CocoMetric writes COCO results; use a .pkl here')
        coco[0].outfile_prefix = str(path.with_suffix(''))
    else:
        raise SeMmError(f'--out {out} must end with .pkl (all predictions) or .json (COCO results)')


def _add_confusion(cfg: Config, confusion: str) -> None:
    if cfg.get('default_scope') != 'mmpretrain':
        raise SeMmError(f'--confusion is for classifiers; this config is of scope {cfg.get("default_scope")}')
    Path(confusion).parent.mkdir(parents=True, exist_ok=True)
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    cfg.test_evaluator = [*evaluators, dict(type='ConfusionMatrix')]
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='se_mm.ConfusionHook', path=confusion)]
