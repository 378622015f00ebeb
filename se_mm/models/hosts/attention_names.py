"""Attention layers by their short names, with arguments in text: as the command line and ``attention=`` take them."""

from __future__ import annotations

import argparse
import re
from typing import Any

from mmengine.config import DictAction

from ...errors import SeMmError
from ..attention import LAYERS


def parts_named(text: str) -> tuple[str, tuple[str, ...]]:
    """A layer of the command line, and the parts of a model that it is for, which may stand behind an ``@``.

    Example:
        >>> parts_named('eca,k_size=3@backbone+neck'), parts_named('se')
        (('eca,k_size=3', ('backbone', 'neck')), ('se', ('backbone',)))
    """
    layer, _, parts = text.partition('@')
    return layer, tuple(parts.split('+')) if parts else ('backbone',)


def attention_named(text: str) -> dict[str, Any]:
    """The config of an attention layer that a text names.

    Args:
        text: a short name or a class name in any case, and arguments of the layer:
            ``'eca'``, ``'ECALayer,k_size=[3,5,5,7]'``, ``'se,reduction=8,gate=hard_sigmoid'``.

    Returns:
        The layer as a dictionary.

    Raises:
        SeMmError: for an unknown name, with those that there are, or an argument without a value.

    Example:
        >>> attention_named('ecalayer,k_size=[3,5,5,7]')
        {'type': 'se_mm.ECALayer', 'k_size': [3, 5, 5, 7]}
    """
    name, *arguments = re.split(r',(?=\s*\w+\s*=)', text)  # other commas belong to a list
    layers = LAYERS | {layer.__name__.lower(): layer for layer in LAYERS.values()}
    layer = layers.get(name.strip().removeprefix('se_mm.').lower())
    if layer is None:
        known = ', '.join(f'{short} ({layer.__name__})' for short, layer in LAYERS.items())
        raise SeMmError(f'attention {text}: there is no attention layer {name!r}; there are {known}')
    for argument in arguments:
        if not argument.partition('=')[2].strip():
            raise SeMmError(f'attention {text}: {argument.partition("=")[0].strip()} has no value')
    parser = argparse.ArgumentParser()
    parser.add_argument('arguments', nargs='*', action=DictAction)
    given = parser.parse_args([re.sub(r'\s*=\s*', '=', argument.strip(), count=1) for argument in arguments])
    return {'type': f'se_mm.{layer.__name__}', **(given.arguments or {})}
