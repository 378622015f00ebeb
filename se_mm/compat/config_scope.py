"""Configs whose ``_base_`` has no folder, ``'se_mm::faster_rcnn_se_r50_coco.py'``: mmengine refuses such a name."""

from __future__ import annotations

from mmengine.config import Config, config

PREFIX = 'se_mm::'


def read_config(path: str) -> Config:
    """``Config.fromfile`` that also follows flat ``se_mm::`` names."""
    resolve = config._get_package_and_cfg_path

    def resolve_flat_names(cfg_path: str) -> tuple[str, str]:
        return ('se_mm', cfg_path.removeprefix(PREFIX)) if cfg_path.startswith(PREFIX) else resolve(cfg_path)

    config._get_package_and_cfg_path = resolve_flat_names
    try:
        return Config.fromfile(path)
    finally:
        config._get_package_and_cfg_path = resolve
