"""Classes that are composed while a host is built: additions before a class of another library."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn


@cache
def made_class(additions: tuple[type[Made], ...], plain: type[nn.Module]) -> type[Any]:
    """``class SE<plain>(*additions, plain)``, the same class each time; the prefix is that of the first addition.

    Example:
        >>> made_class((Made,), nn.Conv2d).__mro__[1:3]
        (<class 'se_mm.models.hosts.made_classes.Made'>, <class 'torch.nn.modules.conv.Conv2d'>)
    """
    members = {'made_of': (additions, plain), '__doc__': plain.__doc__}
    return type(f'{additions[0].prefix}{plain.__name__}', (*additions, plain), members)


def plain_class(module: nn.Module) -> type[nn.Module]:
    """The class of a module in its library, with additions or without.

    Example:
        >>> conv = nn.Conv2d(1, 1, 1)
        >>> put_before(conv, Made)
        >>> type(conv).__name__, plain_class(conv).__name__
        ('SEConv2d', 'Conv2d')
    """
    return _made_of(module)[1]


def put_before(module: nn.Module, *additions: type[Made]) -> None:
    """Puts additions before the class of a module, and before those that are there, in place."""
    present, plain = _made_of(module)
    module.__class__ = made_class((*additions, *present), plain)


def _made_of(module: nn.Module) -> tuple[tuple[type[Made], ...], type[nn.Module]]:
    return getattr(type(module), 'made_of', ((), type(module)))


class Made(nn.Module):
    """Can be pickled although its class has no name in a module: by what the class was made of."""

    made_of: tuple[tuple[type[Made], ...], type[nn.Module]]
    prefix = 'SE'

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        reduced = super().__reduce_ex__(protocol)
        made_of = type(self).__dict__.get('made_of')
        return reduced if made_of is None else (_blank, made_of, *reduced[2:])


def _blank(additions: tuple[type[Made], ...], plain: type[nn.Module]) -> nn.Module:
    made = made_class(additions, plain)
    return made.__new__(made)
