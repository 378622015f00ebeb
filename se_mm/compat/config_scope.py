"""Reading configs whose ``_base_`` names one of ours without a folder: ``'se_mm::faster_rcnn_se_r50_coco.py'``.

mmengine resolves ``package::folder/file.py`` and refuses a name without a folder; our configs
are flat.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.config import Config, config

PREFIX = 'se_mm::'


def read_config(path: str) -> Config:
    """``Config.fromfile`` that also follows flat ``se_mm::`` names."""
    with _flat_names():
        return Config.fromfile(path)


@contextmanager
def _flat_names() -> Iterator[None]:
    resolve = config._get_package_and_cfg_path

    def resolve_flat_names(cfg_path: str) -> tuple[str, str]:
        return ('se_mm', cfg_path.removeprefix(PREFIX)) if cfg_path.startswith(PREFIX) else resolve(cfg_path)

    config._get_package_and_cfg_path = resolve_flat_names
    try:
        yield
    finally:
        config._get_package_and_cfg_path = resolve
