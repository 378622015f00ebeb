"""The only place that knows which stack is installed, and in which version."""

from __future__ import annotations

from . import mmcv_ext, mmengine_tables


def prepare() -> None:
    """Makes the installed stack ready for se_mm without importing it; may be called again."""
    mmcv_ext.install()
    mmengine_tables.install()
