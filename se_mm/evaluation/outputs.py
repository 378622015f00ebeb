"""Where a test leaves its predictions."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from ..errors import SeMmError


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
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    if sheet:
        _add_picture(cfg, '--sheet', sheet, 'mmdet', 'detectors', 'se_mm.SheetHook')
    if confusion:
        _add_picture(cfg, '--confusion', confusion, 'mmpretrain', 'classifiers', 'se_mm.ConfusionHook')
        evaluators = cfg.test_evaluator = [*evaluators, dict(type='ConfusionMatrix')]
    if not out:
        return
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in ('.pkl', '.pickle'):
        dump = 'mmdet.DumpDetResults' if cfg.get('default_scope') == 'mmdet' else 'DumpResults'
        cfg.test_evaluator = [*evaluators, dict(type=dump, out_file_path=out)]
    elif path.suffix == '.json':
        coco = [evaluator for evaluator in evaluators if str(evaluator['type']).endswith('CocoMetric')]
        if not coco:
            raise SeMmError(f'--out {out}: only a CocoMetric writes COCO results; use a .pkl here')
        coco[0].outfile_prefix = str(path.with_suffix(''))
    else:
        raise SeMmError(f'--out {out} must end with .pkl (all predictions) or .json (COCO results)')


def _add_picture(cfg: Config, option: str, path: str, scope: str, models: str, hook: str) -> None:
    if Path(path).suffix != '.png':
        raise SeMmError(f'{option} {path} must end with .png')
    if cfg.get('default_scope') != scope:
        raise SeMmError(f'{option} is for {models}; this config is of scope {cfg.get("default_scope")}')
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type=hook, path=path)]
