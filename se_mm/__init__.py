"""Squeeze-and-Excitation backbones for the OpenMMLab stack.

Importing this package imports neither torch nor mmengine, and changes nothing but names: the
scope ``se_mm`` of the registries, the checkpoint scheme ``timm://``, configs named ``se_mm::``
and, where mmcv has no compiled operators, ``mmcv._ext`` (docs/import.md). For the last it has
to be imported before ``mmcv.ops``, which ``mmdet.models`` imports. The public names below are
imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .compat import mmcv_ext, mmengine_tables
from .errors import SeMmError
from .version import __version__
from .weights import timm_scheme

for _part in (mmcv_ext, mmengine_tables, timm_scheme):
    _part.install()

_PUBLIC = {
    'load': 'se_mm.apis.infer',
    'SELayer': 'se_mm.models.attention',
    'residual_tail': 'se_mm.models.fused',
    'SENet': 'se_mm.models.backbones',
    'SEResNet': 'se_mm.models.backbones',
    'SEResNeXt': 'se_mm.models.backbones',
    'SETwin': 'se_mm.models.backbones',
    'published': 'se_mm.apis.published_classifier',
    'swap_backbone': 'se_mm.swap',
    'wrap': 'se_mm.models.backbones.twin',
}

__all__ = ['SeMmError', '__version__', *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return __all__
