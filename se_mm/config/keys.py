"""The keys of a config that an error is about."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from typing import Any

from mmengine import registry as registries
from mmengine.config import Config
from mmengine.optim import OPTIMIZERS
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string

from ..errors import SeMmError
from ..utils.type_names import type_name
from .tree import dotted, nodes

_UNEXPECTED = re.compile(r"\(\) got an unexpected keyword argument '(\w+)'")
_UNREGISTERED = re.compile(r'(\w+) is not in the [\w: ]+ registry')
#: Of torch, about the maps that a convolution is given, and the features of a linear layer.
_CHANNELS = re.compile(r'to have (\d+) channels, but got (\d+)|cannot be multiplied \(\d+x(\d+) and (\d+)x')
#: All that mmengine says of the type of an optimizer that is not registered.
_NO_OPTIMIZER = 'None is not a callable object'


def mistake_in(cfg: Config, error: BaseException) -> SeMmError | None:
    """What an error says of a key of the config that was built or run, with the closest name.

    Returns:
        An argument that its class does not take, or a type that there is not; ``None`` for any other error.

    Example:
        >>> cfg = Config(dict(optimizer=dict(type='SGD', momentm=0.9), model=dict(type='ResNt')))
        >>> print(mistake_in(cfg, TypeError("SGD.__init__() got an unexpected keyword argument 'momentm'")))
        optimizer.momentm: SGD has no argument momentm; did you mean momentum?
        >>> print(mistake_in(cfg, KeyError('ResNt is not in the mmdet::model registry. Please check ...')))
        model.type: ResNt is not in the mmdet::model registry
    """
    text = ''  # of the error and of what led to it
    cause: BaseException | None = error
    while cause is not None:
        text, cause = f'{text}\n{cause}', cause.__cause__ or cause.__context__
    if channels := _CHANNELS.search(text):
        wanted, given = (int(number) for number in filter(None, channels.groups()))
        return _of_channels(cfg, *((given, wanted, True) if channels[3] else (wanted, given, False)))
    unregistered, unexpected = _UNREGISTERED.search(text), _UNEXPECTED.search(text)
    name = unexpected[1] if unexpected else None
    scope = cfg.get('default_scope')
    for keys, node in nodes(cfg):
        if keys[-1:] == ('optimizer',) and _NO_OPTIMIZER in text and not class_of(node, scope):
            close = difflib.get_close_matches(type_name(node), OPTIMIZERS.module_dict, 1)
            hint = f'; did you mean {close[0]}?' if close else ''
            return SeMmError(f'{dotted(keys)}.type is {node.get("type")}, which is not registered{hint}')
        if unregistered and type_name(node) == unregistered[1]:
            return SeMmError(f'{dotted(keys)}.type: {unregistered[0]}')
        cls = class_of(node, scope) if name in node else None
        if cls and name not in (known := arguments_of(cls)):
            close = difflib.get_close_matches(name, known, 1)
            hint = f'; did you mean {close[0]}?' if close else f'; it has {", ".join(known)}'
            return SeMmError(f'{dotted((*keys, name))}: {cls.__name__} has no argument {name}{hint}')
    return None


def _of_channels(cfg: Config, wanted: int, given: int, linear: bool) -> SeMmError | None:
    """What to do where a part is given maps of another width than its ``in_channels`` say."""
    parts = [(keys, node.get('in_channels')) for keys, node in nodes({'model': cfg.model})]
    lists = [keys for keys, value in parts if isinstance(value, (list, tuple)) and wanted in value]
    keys = [dotted((*keys, 'in_channels')) for keys in [*lists, *(keys for keys, value in parts if value == wanted)]]
    if not keys:
        return None
    return SeMmError(
        f'{keys[-linear]} expects {wanted} channels and is given {given}: it follows the backbone (its depth, arch); '
        'ResNet-18 and -34 have [64,128,256,512], deeper ones [256,512,1024,2048]'
    )


def class_of(node: Mapping[str, Any], scope: str | None) -> type | None:
    """The class that a node names, in whichever registry it is."""
    kind = node.get('type')
    if not isinstance(kind, str):
        return kind if isinstance(kind, type) else None
    for root in vars(registries).values():
        if isinstance(root, Registry):
            with root.switch_scope_and_registry(scope) as registry:
                if isinstance(found := registry.get(kind), type):
                    return found
    return None


def name_types(cfg: Config) -> None:
    """Writes the types that a config in pure Python gives as classes, or a dumped one by modules, by registered names.

    mmpretrain's and mmdet's inferencers know types by their names alone.

    Example:
        >>> cfg = Config(dict(optimizer=dict(type='torch.optim.SGD')))
        >>> name_types(cfg)
        >>> cfg.optimizer.type
        'SGD'
    """
    for _, node in nodes(cfg):
        kind = node.get('type')
        cls = get_object_from_string(kind) if isinstance(kind, str) and kind.count('.') > 1 else kind
        if isinstance(cls, type) and (name := _registered_as(cls)):
            node['type'] = name


def _registered_as(cls: type) -> str | None:
    for root in vars(registries).values():
        for registry in (root, *root.children.values()) if isinstance(root, Registry) else ():
            if registry.module_dict.get(cls.__name__) is cls:
                return cls.__name__ if registry is root else f'{registry.scope}.{cls.__name__}'
    return None


def arguments_of(cls: type) -> list[str]:
    """The arguments of a class, of its bases too where it hands on what it does not know.

    Example:
        >>> class Base:
        ...     def __init__(self, depth): ...
        >>> class Host(Base):
        ...     def __init__(self, reduction=16, **kwargs): ...
        >>> arguments_of(Host)
        ['reduction', 'depth']
    """
    names: dict[str, None] = {}
    for base in cls.__mro__[:-1]:
        parameters = inspect.signature(base.__init__).parameters.values() if '__init__' in vars(base) else ()
        names |= {p.name: None for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in names if name != 'self']
