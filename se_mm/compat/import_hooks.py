"""Import hooks for the few modules of other packages that se_mm adds to.

``import se_mm`` has to be cheap and may not import mmengine or mmcv. One finder in front of
Python's own therefore watches for a few module names and replaces the loader of those alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

#: Takes the spec that the other finders have for a module (``None``: there is none), returns the one to use.
SpecHook = Callable[[ModuleSpec | None], ModuleSpec | None]


class HookFinder(MetaPathFinder):
    """Finds the modules in ``hooks`` with the other finders and hands their specs to the hooks."""

    def __init__(self) -> None:
        self.hooks: dict[str, SpecHook] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.hooks:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, 'find_spec'))
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        return self.hooks[fullname](next(filter(None, specs), None))


_FINDER = HookFinder()


def add_hook(name: str, hook: SpecHook) -> None:
    """Lets ``hook`` choose the spec of the module ``name``; a second call replaces the hook."""
    _FINDER.hooks[name] = hook
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def after_import(name: str, callback: Callable[[ModuleType], None]) -> None:
    """Calls ``callback`` with the module ``name`` once it is imported, and after each reload; now if it already is.

    Example:
        >>> after_import('json', lambda module: print(module.__name__))
        json
    """

    def hook(spec: ModuleSpec | None) -> ModuleSpec | None:
        if spec is not None and spec.loader is not None:
            spec.loader = _CallbackLoader(spec.loader, callback)
        return spec

    add_hook(name, hook)
    if name in sys.modules:
        callback(sys.modules[name])


class _CallbackLoader(Loader):
    """The loader that it wraps, put back in its place before the module runs."""

    def __init__(self, loader: Loader, callback: Callable[[ModuleType], None]) -> None:
        self.loader = loader
        self.callback = callback

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.callback(module)

    def __getattr__(self, name: str) -> Any:  # get_source, get_code, is_package ...
        return getattr(self.loader, name)
