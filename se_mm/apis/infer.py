"""Predictions on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from ..config.classifiers import use_published
from ..config.load import load_config
from ..config.model_argument import named
from ..config.pretrained import local_model
from ..engine.inference import (
    ExportedPredictor,
    Predicted,
    Predictor,
    TrainedModel,
    check_any,
    find_images,
    write_predictions,
)
from ..export.runtimes import is_exported
from ..utils.paths import make_folder
from ..weights.published import is_published

__all__ = ['Predicted', 'find_images', 'infer', 'load']


def load(
    model: str | Path, config: Config | str | None = None, *, deployed: bool = False, device: str | None = None
) -> Predictor:
    """A trained detector or classifier that predicts on pictures.

    Args:
        model: a checkpoint, its URL, the folder of its training, a published classifier (``timm://NAME``), or a
            file that ``tools/export.py`` wrote.
        config: of a checkpoint that does not hold its own.
        deployed: whether the norms of the SE backbones are folded first.
        device: of a checkpoint, as ``'cuda:1'``; ``None``: the GPU, or the CPU.

    Returns:
        The model; see :meth:`~se_mm.engine.inference.Predictor.predict`.

    Raises:
        SeMmError: if there is no such model, it holds no config, or does not fit the one that is given.

    Example:
        >>> load('work_dirs/no_such/epoch_3.pth')
        Traceback (most recent call last):
        ...
        se_mm.errors.SeMmError: checkpoint work_dirs/no_such/epoch_3.pth does not exist (looked in ...)
    """
    checkpoint = local_model(named([str(model)]).weights)
    if is_exported(checkpoint):
        return ExportedPredictor(checkpoint, 0.0)
    cfg = config if isinstance(config, Config) else load_config(config or checkpoint, data_root='')
    if is_published(checkpoint):
        use_published(cfg, checkpoint)
    return TrainedModel(cfg, checkpoint, 0.0, deployed, device)


def infer(
    cfg: Config | None,
    model: str,
    images: Sequence[str | Path],
    out: str | Path,
    score_threshold: float = 0.3,
    deployed: bool = False,
    device: str | None = None,
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
        deployed, device: as in :func:`load`.

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
        else TrainedModel(cfg, model, score_threshold, deployed, device)
    )
    return write_predictions(predictor, images, file, pictures)
