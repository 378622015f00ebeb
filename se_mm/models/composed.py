"""Classes that are composed while a network is built: additions before a class of another library.

A module gets an addition by getting another class, as in ``torch.nn.utils.parametrize``: its parameters, hooks and
place stay, and no other module is touched. The classes cannot be written down, since any network is a host.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn


class Addition(nn.Module):
    """The base of additions. What they compose is pickled by its parts, so that another process can compose it."""

    composed_of: tuple[tuple[type[Addition], ...], type[nn.Module]]
    #: Of the name of the composed class.
    prefix = 'SE'

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        reduced = super().__reduce_ex__(protocol)
        parts = type(self).__dict__.get('composed_of')
        return reduced if parts is None else (_blank, parts, *reduced[2:])


@cache
def composed_class(additions: tuple[type[Addition], ...], plain: type[nn.Module]) -> type[Any]:
    """``class SE<plain>(*additions, plain)``, the same class each time; the prefix is that of the first addition.

    It stands in this module under its ``__qualname__``, which names all of its parts.
    """
    parts = (*(addition.__name__ for addition in additions), *plain.__module__.split('.'), plain.__name__)
    members = {
        'composed_of': (additions, plain),
        '__doc__': plain.__doc__,
        '__module__': __name__,
        '__qualname__': '_'.join(parts),
    }
    composed = type(f'{additions[0].prefix}{plain.__name__}', (*additions, plain), members)
    globals()[composed.__qualname__] = composed
    return composed


def put_before(module: nn.Module, *additions: type[Addition]) -> None:
    """Puts additions before the class of a module, and before those that are there, in place.

    Example:
        >>> conv = nn.Conv2d(1, 1, 1)
        >>> put_before(conv, Addition)
        >>> type(conv).__name__, plain_class(conv).__name__
        ('SEConv2d', 'Conv2d')
    """
    present, plain = _parts_of(module)
    module.__class__ = composed_class((*additions, *present), plain)


def plain_class(module: nn.Module) -> type[nn.Module]:
    """The class of a module in its library, with additions or without."""
    return _parts_of(module)[1]


def _parts_of(module: nn.Module) -> tuple[tuple[type[Addition], ...], type[nn.Module]]:
    return getattr(type(module), 'composed_of', ((), type(module)))


def _blank(additions: tuple[type[Addition], ...], plain: type[nn.Module]) -> nn.Module:
    composed = composed_class(additions, plain)
    return composed.__new__(composed)
