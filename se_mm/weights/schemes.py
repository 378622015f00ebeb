"""How mmengine reads checkpoints once se_mm is imported: files and URLs safely, and ``timm://`` names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from ..compat import checkpoints
from ..errors import SeMmError
from . import published
from .files import read_checkpoint
from .state_dicts import AVERAGED, find_roots, unwrap


def register() -> None:
    """Puts the loaders below behind mmengine's schemes; may be called again."""
    checkpoints.install()
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'), load_from_http, force=True)
    CheckpointLoader.register_scheme(published.TIMM, load_from_timm, force=True)
    # torchvision://, open-mmlab:// and mmcls:// look up a URL and call this by its name.
    mmengine_checkpoint.load_from_http = load_from_http
    mmengine_checkpoint._load_checkpoint_with_prefix = load_with_prefix


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """A file; see :func:`se_mm.weights.files.read_checkpoint`."""
    return _for_mmengine(read_checkpoint(filename, map_location))


def load_from_http(filename: str, map_location: Any = None, **_: Any) -> dict[str, Any]:
    """A URL, through the cache of :class:`se_mm.weights.published.Published`."""
    return _for_mmengine(read_checkpoint(published.find(filename).fetch(), map_location, filename))


def load_from_timm(filename: str, map_location: Any = None) -> dict[str, Any]:
    """``timm://seresnet50.ra2_in1k``: weights by the name that timm gives them."""
    return load_from_http(filename, map_location)


def load_with_prefix(prefix: str, filename: str, map_location: Any = None) -> dict[str, Any]:
    """The part of a checkpoint under a prefix, for ``init_cfg=dict(type='Pretrained', prefix=...)``.

    Raises:
        SeMmError: if no key starts so.
    """
    weights, _ = unwrap(CheckpointLoader.load_checkpoint(filename, map_location))
    weights = {key.removeprefix('module.'): value for key, value in weights.items()}
    prefix = f'{prefix.removeprefix("module.").rstrip(".")}.'
    found = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    if not found:
        networks = ', '.join(repr(root) for root in find_roots(weights)) or 'none'
        raise SeMmError(f'checkpoint {filename} has no key under {prefix!r}; residual networks stand under: {networks}')
    return found


def _for_mmengine(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What mmengine would take from the wrong place, or run."""
    if isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)  # Runner.resume runs this text as Python; mmengine itself writes `cfg`
    averaged = next((name for name in AVERAGED if isinstance(checkpoint.get(name), Mapping)), None)
    if averaged and 'state_dict' in checkpoint:
        print_log(f'the averaged weights ({averaged}) are taken, not state_dict', logger='current')
        checkpoint['state_dict'] = checkpoint[averaged]
    return checkpoint
