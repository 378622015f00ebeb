"""The two entries that se_mm adds to mmengine's tables, once mmengine is imported."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .import_hooks import after_import


def install() -> None:
    """Adds the entries when (or if) mmengine's modules are imported; may be called again."""
    after_import('mmengine.config.utils', _add_package)
    after_import('mmengine.runner.checkpoint', _add_timm_scheme)


def _add_package(config_utils: ModuleType) -> None:
    """Lets ``_base_ = 'se_mm::folder/file.py'`` be found."""
    config_utils.MODULE2PACKAGE['se_mm'] = 'se_mm'


def _add_timm_scheme(checkpoint: ModuleType) -> None:
    checkpoint.CheckpointLoader.register_scheme('timm://', _load_from_timm, force=True)


def _load_from_timm(filename: str, map_location: Any = None) -> dict[str, Any]:
    from ..weights import published

    return published.read(filename, map_location)[0]
