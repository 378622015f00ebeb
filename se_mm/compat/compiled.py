"""What ``torch.compile``, activation checkpointing and parallel training wrap around modules, and add to names.

torch has no public way from a wrapper to the module in it, nor from a compiled call to the plain one: hence
``_orig_mod`` and the like, and ``_compiled_call_impl``. A graph that is there already ignores new hooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

#: The names of what stands in wrappers: of ``torch.compile``, ``checkpoint_wrapper`` and FSDP.
_INSIDE = ('_orig_mod', '_checkpoint_wrapped_module', '_fsdp_wrapped_module')
#: What wrappers of whole models add to names.
_WRAPPERS = r'^module\.|\b_orig_mod\.|\.?\b_orig_mod$'


def _inside(module: nn.Module) -> nn.Module | None:
    """What a wrapper wraps; ``None``: the module is none."""
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return module.module
    return next((child for name, child in module.named_children() if name in _INSIDE), None)


def original(module: nn.Module) -> nn.Module:
    """The module inside what wraps it: ``torch.compile``, activation checkpointing, parallel training.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> original(nn.DataParallel(layer)) is layer
        True
    """
    while (inside := _inside(module)) is not None:
        module = inside
    return module


def original_names(network: nn.Module) -> dict[str, str]:
    """The names of the modules of a network, each with the one that it has if no module in it is wrapped.

    Example:
        >>> original_names(nn.Sequential(nn.DataParallel(nn.Sequential(nn.ReLU()))))
        {'': '', '0': '0', '0.module': '0', '0.module.0': '0.0'}
    """
    names: dict[str, str] = {}
    wrapped: set[nn.Module | None] = set()
    for name, module in network.named_modules():
        parent, _, child = name.rpartition('.')
        above = names.get(parent, '')
        names[name] = above if module in wrapped else f'{above}.{child}'.strip('.')
        wrapped.add(_inside(module))
    return names


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
