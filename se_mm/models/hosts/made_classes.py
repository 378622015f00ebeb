"""Classes made while a host is built: an addition before a class of another library."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn


@cache
def made_class(addition: type[Made], plain: type[nn.Module]) -> type[Any]:
    """``class SE<plain>(addition, plain)``, the same class each time.

    Example:
        >>> made_class(Made, nn.Conv2d).__mro__[1:3]
        (<class 'se_mm.models.hosts.made_classes.Made'>, <class 'torch.nn.modules.conv.Conv2d'>)
    """
    return type(f'SE{plain.__name__}', (addition, plain), {'made_of': (addition, plain), '__doc__': plain.__doc__})


class Made(nn.Module):
    """Can be pickled though its class has no name in a module: by what the class was made of."""

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        reduced = super().__reduce_ex__(protocol)
        made_of = type(self).__dict__.get('made_of')
        return reduced if made_of is None else (_blank, made_of, *reduced[2:])


def _blank(addition: type[Made], plain: type[nn.Module]) -> nn.Module:
    made = made_class(addition, plain)
    return made.__new__(made)
