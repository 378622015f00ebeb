"""Squeeze-and-Excitation backbones for the OpenMMLab stack.

Importing this package prepares the installed stack (see :mod:`se_mm.compat`), so it has to
come before the first import of ``mmcv.ops``, which ``mmdet.models`` makes, and mmengine's
reading of checkpoints (see :mod:`se_mm.weights.schemes`). The public names below, and with
them mmdet, are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from . import compat
from .errors import SeMmError
from .utils import atomic, plain_files
from .version import __version__
from .weights import schemes

compat.prepare()
schemes.register()
atomic.install()
plain_files.install()

_PUBLIC = {
    'SELayer': 'se_mm.models.attention',
    'residual_tail': 'se_mm.models.fused',
    'SEResNet': 'se_mm.models.backbones',
    'SEResNeXt': 'se_mm.models.backbones',
    'SETwin': 'se_mm.models.backbones',
    'swap_backbone': 'se_mm.swap',
}

__all__ = ['SeMmError', '__version__', *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
