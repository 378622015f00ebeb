"""What ``torch.compile`` and data-parallel training wrap around modules, and add to names.

torch has no public way from a compiled module to the one in it, nor from a compiled call to the plain one: hence
``_orig_mod`` and ``_compiled_call_impl``. A graph that is there already ignores new hooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

#: What wrappers add to names.
_WRAPPERS = r'^module\.|\b_orig_mod\.|\.?\b_orig_mod$'


def original(module: nn.Module) -> nn.Module:
    """The module inside what ``torch.compile`` and data-parallel training wrap around it.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> original(nn.DataParallel(layer)) is layer
        True
    """
    while isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)) or hasattr(module, '_orig_mod'):
        module = module._orig_mod if hasattr(module, '_orig_mod') else module.module
    return module


def original_name(name: str) -> str:
    """The name of a module or a tensor without what wrappers add to it.

    Example:
        >>> original_name('module.backbone._orig_mod.layer1.0')
        'backbone.layer1.0'
    """
    return re.sub(_WRAPPERS, '', name)


@contextmanager
def eager(model: nn.Module) -> Iterator[None]:
    """While it lasts, ``module.compile()`` and ``torch.compile(module)`` are undone, so that hooks are called."""
    changed = []
    for module in model.modules():
        if vars(module).get('_compiled_call_impl') is not None:
            changed.append((vars(module), {'_compiled_call_impl': None}))
        if '_orig_mod' in module._modules:
            changed.append((vars(module), {'forward': module._orig_mod.__call__}))
    before = [{name: attributes[name] for name in new} for attributes, new in changed]
    try:
        for attributes, new in changed:
            attributes.update(new)
        yield
    finally:
        for (attributes, _), old in zip(changed, before, strict=True):
            attributes.update(old)
