"""Hooks for the few modules of others that se_mm adds to: ``import se_mm`` may not import mmengine or mmcv itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

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
        loader = spec and spec.loader
        if loader is None:
            return spec
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if module.__name__ == name:  # the loader of a zip file is that of all modules in it
                callback(module)

        loader.exec_module = exec_module
        return spec

    add_hook(name, hook)
    if name in sys.modules:
        callback(sys.modules[name])
