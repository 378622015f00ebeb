"""What an exported file says about itself, so that it can be run without its config."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from ..errors import SeMmError
from ..utils.hashing import digest_of
from ..version import __version__
from ..weights.files import read_checkpoint


@dataclass
class Description:
    """The metadata of an exported file; each field is an entry, as JSON.

    The input is called ``image``: (N, H, W, 3), uint8, in the channel order of ``cv2.imread``.
    Normalisation, padding and what turns feature maps into detections are in the graph.
    """

    #: ``'detection'`` or ``'classification'``.
    task: str
    classes: list[str]
    #: How a picture file becomes the input: :func:`se_mm.export.pictures.prepare`.
    resizing: list[dict[str, Any]]
    #: N, H and W of the input; ``None`` for one that is free.
    input_size: list[int | None]
    #: The shortest side of a picture that it takes.
    least_side: int
    #: Normalisation, for information: it is in the graph.
    mean: list[float]
    std: list[float]
    to_rgb: bool
    #: Names of the outputs.
    outputs: list[str]
    #: ``score``, ``iou`` and ``max_per_image`` of the last suppression, ``mask`` where there are masks.
    thresholds: dict[str, float]
    #: ``'fp32'``, ``'fp16'`` or ``'int8'``.
    precision: str
    #: The config's name, and the hashes of its text and of the checkpoint (SHA-256).
    config: str
    config_sha256: str
    checkpoint_sha256: str
    se_mm_version: str
    #: Of the exported file on a validation set, as the config's evaluator names it.
    metric: dict[str, float] = field(default_factory=dict)
    #: What was compared with PyTorch before the file was kept.
    compared: list[str] = field(default_factory=list)

    def entries(self) -> dict[str, str]:
        """The metadata entries of a file."""
        return {name: json.dumps(value) for name, value in asdict(self).items()}

    @classmethod
    def of_entries(cls, entries: Mapping[str, str], path: str) -> Description:
        """Reads the entries back.

        Raises:
            SeMmError: if a file was not written by ``tools/export.py``.
        """
        names = [entry.name for entry in fields(cls)]
        missing = [name for name in names if name not in entries]
        if missing:
            raise SeMmError(
                f'{path} has no metadata {", ".join(missing[:3])}; expected a file that tools/export.py wrote'
            )
        return cls(**{name: json.loads(entries[name]) for name in names})


def described(
    cfg: Config, checkpoint: str, form: nn.Module, model: nn.Module, resizing: list[dict[str, Any]]
) -> Description:
    """What a file of a model says, of any size and in float32.

    Args:
        cfg: of the model.
        checkpoint: the file of its weights.
        form: what is exported, of :func:`~se_mm.export.forms.export_form`.
        model: what it is made from.
        resizing: of :func:`~se_mm.export.pictures.describe_resizing`.

    Raises:
        SeMmError: if the checkpoint does not name its classes.
    """
    meta = read_checkpoint(checkpoint).get('meta') or {}
    classes = (meta.get('dataset_meta') or {}).get('classes')
    if not classes:
        raise SeMmError(f'checkpoint {checkpoint} has no class names; expected one that tools/train.py wrote')
    layer = form.preprocessing
    return Description(
        task=form.task,
        classes=list(classes),
        resizing=resizing,
        input_size=[None, None, None],
        least_side=form.least_side,
        mean=layer.mean.flatten().tolist(),
        std=layer.std.flatten().tolist(),
        to_rgb=layer.swaps_channels,
        outputs=list(form.names),
        thresholds=thresholds_of(model) if form.task == 'detection' else {},
        precision='fp32',
        config=Path(cfg.filename).name if cfg.filename else '',
        config_sha256=hashlib.sha256(cfg.pretty_text.encode()).hexdigest(),
        checkpoint_sha256=digest_of(Path(checkpoint)),
        se_mm_version=__version__,
    )


def thresholds_of(model: nn.Module) -> dict[str, float]:
    """The thresholds of a detector's last suppression, and of its masks."""
    two_stage = hasattr(model, 'roi_head')
    cfg = model.test_cfg.rcnn if two_stage else model.test_cfg
    thresholds = {
        'score': float(cfg.get('score_thr', 0)),
        'iou': float(cfg.nms.iou_threshold),
        'max_per_image': int(cfg.max_per_img),
    }
    if two_stage and model.roi_head.with_mask:
        thresholds['mask'] = float(cfg.mask_thr_binary)
    return thresholds
