"""Predictions on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from ..engine.inference import ExportedPredictor, Predicted, TrainedModel, check_any, find_images, write_predictions
from ..utils.paths import make_folder

__all__ = ['Predicted', 'find_images', 'infer']


def infer(
    cfg: Config | None,
    model: str,
    images: Sequence[str | Path],
    out: str | Path,
    score_threshold: float = 0.3,
    deployed: bool = False,
) -> Predicted:
    """Writes annotated pictures and a JSON of the predictions.

    An image that cannot be read, or that the test pipeline cannot resize, is named and left out.

    Args:
        cfg: the config that the checkpoint was trained with; ``None`` for an exported file, which needs none.
        model: a checkpoint that ``tools/train.py`` wrote, or a file that ``tools/export.py`` wrote.
        images: picture files, as :func:`find_images` gives them; each once.
        out: a folder, for pictures (``vis``) and ``predictions.json``; made where it is missing.
            A name that ends with ``.json``: that file, and no pictures.
        score_threshold: boxes below it are not drawn; the JSON holds all.
        deployed: whether the norms of the SE backbones of a checkpoint are folded first.

    Returns:
        Where the results are. The JSON of a detector is in COCO's form (``images``, ``categories``,
        ``annotations`` with ``bbox`` as x, y, width, height and ``score``); category ids count
        the classes of the config from 1. That of a classifier is a list of ``file``, ``label``
        and the five best ``scores``, which are printed too.

    Raises:
        SeMmError: if the checkpoint does not fit the config, no image can be read, or ``out``
            cannot be written.
    """
    out = Path(out)
    file, pictures = (out, None) if out.suffix == '.json' else (out / 'predictions.json', out / 'vis')
    make_folder(pictures or file.parent, f'--out {out}')
    check_any(images)
    predictor = (
        ExportedPredictor(model, score_threshold)
        if cfg is None
        else TrainedModel(cfg, model, score_threshold, deployed)
    )
    return write_predictions(predictor, images, file, pictures)
