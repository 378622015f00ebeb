"""The only place that knows which stack is installed, and in which version."""

from __future__ import annotations

from . import checkpoints, config_scope, mmcv_ext


def prepare() -> None:
    """Makes the installed stack ready for se_mm; may be called again."""
    mmcv_ext.install()
    config_scope.install()
    checkpoints.install()
