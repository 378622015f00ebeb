"""Replaces mmcv's compiled operators by torchvision's where they are missing.

``mmdet.models`` imports ``mmcv.ops``, and that the extension ``mmcv._ext``. An import hook watches for that name. A
compiled extension that loads is used as it is; where there is none, or it was built against another torch, the module
is made of :mod:`se_mm.compat.ops`, and one log line says so. ``SE_MM_MMCV_EXT=0`` switches the hook off.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

from ..errors import SeMmError
from .import_hooks import add_hook

SWITCH = 'SE_MM_MMCV_EXT'
EXT_NAME = 'mmcv._ext'
HOW_TO_COMPILE = (
    'get a compiled mmcv: the onedl stack builds one with '
    '`pip install --no-build-isolation --no-cache-dir --force-reinstall --no-deps onedl-mmcv` '
    '(torch, ninja and a C++ compiler needed; nvcc too for CUDA)'
)


def install() -> None:
    """Adds the import hook; may be called again."""
    if os.environ.get(SWITCH) != '0':
        add_hook(EXT_NAME, _spec)


def _spec(compiled: ModuleSpec | None) -> ModuleSpec:
    return ModuleSpec(EXT_NAME, _ExtLoader(compiled), origin=compiled.origin if compiled else __file__)


def is_stand_in() -> bool:
    """Whether ``mmcv.ops`` runs on the stand-ins; imports ``mmcv._ext`` to find out."""
    return isinstance(importlib.import_module(EXT_NAME), StandIn)


class StandIn(ModuleType):
    """``mmcv._ext`` without a compiler: known operators by name, any other raises when it is called."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args: Any, **kwargs: Any) -> NoReturn:
            raise SeMmError(f'mmcv operator {name!r} has no stand-in in se_mm; {HOW_TO_COMPILE}')

        return missing


class _ExtLoader(Loader):
    def __init__(self, compiled: ModuleSpec | None) -> None:
        self.compiled = compiled

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        reason = 'mmcv has no compiled operators'
        if self.compiled is not None:
            import torch  # noqa: F401  the extension links torch's libraries, which must be loaded first

            try:
                return importlib.util.module_from_spec(self.compiled)
            except (ImportError, OSError) as error:
                reason = f"mmcv's compiled operators do not load ({error})"
        self.compiled = None
        import torchvision
        from mmengine.logging import print_log

        kernels = f"torchvision {torchvision.__version__}'s kernels stand in for them (se_mm.compat)"
        print_log(f'{reason}: {kernels}', logger='current', level=logging.INFO)
        return StandIn(EXT_NAME)

    def exec_module(self, module: ModuleType) -> None:
        if self.compiled is not None:
            self.compiled.loader.exec_module(module)
            return
        from .ops import OPERATORS

        vars(module).update(OPERATORS)
