"""How mmengine reads checkpoints once se_mm is imported: files and URLs safely, and ``timm://`` names."""

from __future__ import annotations

from typing import Any

from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from . import published
from .files import read_checkpoint


def register() -> None:
    """Puts the loaders below behind mmengine's schemes; may be called again."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'), load_from_http, force=True)
    CheckpointLoader.register_scheme(published.TIMM, load_from_timm, force=True)
    # torchvision://, open-mmlab:// and mmcls:// look up a URL and call this by its name.
    mmengine_checkpoint.load_from_http = load_from_http


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """A file; see :func:`se_mm.weights.files.read_checkpoint`."""
    return read_checkpoint(filename, map_location)


def load_from_http(filename: str, map_location: Any = None, **_: Any) -> dict[str, Any]:
    """A URL, through the cache of :class:`se_mm.weights.published.Published`."""
    return read_checkpoint(published.find(filename).fetch(), map_location, filename)


def load_from_timm(filename: str, map_location: Any = None) -> dict[str, Any]:
    """``timm://seresnet50.ra2_in1k``: weights by the name that timm gives them."""
    return read_checkpoint(published.find(filename).fetch(), map_location, filename)
