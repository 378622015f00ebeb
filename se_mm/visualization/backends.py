"""Where metrics and pictures are recorded, beside the work_dir."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
from mmengine.config import Config, ConfigDict
from mmengine.visualization import Visualizer

from ..errors import SeMmError
from ..utils.type_names import type_name

#: The name in ``--log``: mmengine's backend, and the packages of which one has to be installed.
BACKENDS = {
    'tensorboard': ('TensorboardVisBackend', ('tensorboard', 'tensorboardX')),
    'wandb': ('WandbVisBackend', ('wandb',)),
    'mlflow': ('MLflowVisBackend', ('mlflow',)),
}


def add_log_backends(cfg: Config, names: Sequence[str]) -> None:
    """Adds mmengine's visualization backends to a config's visualizer.

    Args:
        cfg: changed in place.
        names: of ``BACKENDS``.

    Raises:
        SeMmError: if a backend's package is not installed.
    """
    for name in dict.fromkeys(names):
        backend, packages = BACKENDS[name]
        if not any(find_spec(package) for package in packages):
            raise SeMmError(
                f"--log {name}: {packages[0]} is not installed; in the clone of se_mm: pip install '.[{name}]'"
            )
        visualizer = cfg.setdefault('visualizer', ConfigDict(type='Visualizer'))
        present = visualizer.get('vis_backends') or [ConfigDict(type='LocalVisBackend')]
        if not any(type_name(entry) == backend for entry in present):
            visualizer.vis_backends = [*present, ConfigDict(type=backend)]


def record_picture(visualizer: Visualizer, path: Path, step: int = 0) -> None:
    """Shows a picture that was written where the metrics are shown, under the name of its file."""
    visualizer.add_image(path.name, cv2.imread(str(path))[..., ::-1], step)
