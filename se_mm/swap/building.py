"""Building a network for its shapes."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch.overrides import TorchFunctionMode

from ..config.tree import Keys, dotted, value_at
from ..errors import SeMmError


def check_it_builds(cfg: Config, keys: Keys, scope: str | None) -> None:
    """Builds the network at some keys of a config; an ``SeMmError`` with the reason if that fails."""
    try:
        with MODELS.switch_scope_and_registry(scope) as registry, shapes_only():
            registry.build(copy.deepcopy(value_at(cfg, keys)))
    except Exception as error:  # whatever a host may raise for the values of a config
        raise SeMmError(f'{dotted(keys)}: its SE twin cannot be built: {_reason(error)}') from error


def _reason(error: BaseException) -> str:
    """The first error of a chain, which mmengine wraps; of an assertion without a message the line of code."""
    while error.__context__ is not None:
        error = error.__context__
    if str(error):
        return str(error)
    return f'{type(error).__name__} at `{traceback.extract_tb(error.__traceback__)[-1].line}`'


@contextmanager
def shapes_only() -> Iterator[None]:
    """Modules are built without memory for their weights."""
    with torch.device('meta'), _ValuesForNumbers():
        yield


class _ValuesForNumbers(TorchFunctionMode):
    """mmpretrain's hosts read the rates of their stochastic depth from a tensor."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.linspace:
            kwargs.setdefault('device', 'cpu')
        return function(*args, **kwargs)
