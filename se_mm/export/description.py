"""What an exported file says about itself, so that it can be run without its config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import SeMmError


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
    #: For the record: normalisation is in the graph.
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
        """As metadata of a file."""
        return {name: json.dumps(value) for name, value in asdict(self).items()}

    @classmethod
    def of_entries(cls, entries: Mapping[str, str], path: str) -> Description:
        """The inverse of :meth:`entries`; an ``SeMmError`` if the file was not written by ``tools/export.py``."""
        names = [entry.name for entry in fields(cls)]
        missing = [name for name in names if name not in entries]
        if missing:
            raise SeMmError(
                f'{path} has no metadata {", ".join(missing[:3])}; expected a file that tools/export.py wrote'
            )
        return cls(**{name: json.loads(entries[name]) for name in names})
