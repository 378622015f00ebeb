"""The entry that se_mm adds to mmengine's table of packages, once mmengine is imported."""

from __future__ import annotations

from types import ModuleType

from .import_hooks import after_import


def install() -> None:
    """Lets ``_base_ = 'se_mm::folder/file.py'`` be found; mmengine has no function to add a package with configs."""
    after_import('mmengine.config.utils', _add_package)


def _add_package(config_utils: ModuleType) -> None:
    config_utils.MODULE2PACKAGE['se_mm'] = 'se_mm'
