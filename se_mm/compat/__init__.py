"""The only place that knows which stack is installed, and in which version."""

from __future__ import annotations

from . import config_scope, mmcv_ext


def prepare() -> None:
    """Makes the installed stack ready for se_mm; imports nothing heavy and may be called again."""
    mmcv_ext.install()
    config_scope.install()
