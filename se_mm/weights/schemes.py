"""The names ``timm://...`` for mmengine's own loader, so that any module can start from timm's weights."""

from __future__ import annotations

from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from . import published


def register() -> None:
    """Adds the scheme to mmengine's; may be called again."""
    CheckpointLoader.register_scheme(published.TIMM, load_from_timm, force=True)


def load_from_timm(filename: str, map_location: Any = None) -> dict[str, Any]:
    """``timm://seresnet50.ra2_in1k``: weights by the name that timm gives them."""
    return published.read(filename, map_location)[0]
