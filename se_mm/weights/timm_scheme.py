"""mmengine's ``CheckpointLoader`` reads ``timm://`` names, for hosts of other libraries too."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..compat.import_hooks import after_import


def install() -> None:
    """Registers the scheme when (or if) mmengine's loader is imported; may be called again."""
    after_import('mmengine.runner.checkpoint', _register)


def _register(checkpoint: ModuleType) -> None:
    checkpoint.CheckpointLoader.register_scheme('timm://', _load, force=True)


def _load(filename: str, map_location: Any = None) -> dict[str, Any]:
    from .published import read  # imports torch, which `import se_mm` does not

    return read(filename, map_location)[0]
