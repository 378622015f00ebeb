"""Lets a checkpoint of mmengine's be resumed where torch reads tensors and plain data only.

``torch.load(weights_only=True)`` refuses every class that is not on its list. mmengine keeps
its log in a checkpoint, as ``HistoryBuffer`` over numpy arrays, which are put on that list.
Nothing here can run code from a file: in the place of ``getattr``, which the log's statistics
are pickled through, stands a look-up of those statistics alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint

from ..errors import SeMmError

STATISTICS = ('min', 'max', 'mean', 'current')


def install() -> None:
    """Puts the classes of mmengine's log on torch's list; may be called again."""
    reconstruct = np.zeros(1).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(kind)) for kind in ('float64', 'float32', 'int64', 'int32')]
    numpy_functions = [
        _under_the_name(function, f'{module}.multiarray', function.__name__)
        for function in (reconstruct, scalar)
        for module in ('numpy.core', 'numpy._core')  # numpy 1 and numpy 2 write different names
    ]
    statistic = _under_the_name(_statistic, 'builtins', 'getattr')
    torch.serialization.add_safe_globals([HistoryBuffer, np.ndarray, np.dtype, *dtypes, *numpy_functions, statistic])
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):  # of onedl-mmengine: falls back to running a file's code
        mmengine_checkpoint._safe_torch_load = _load_tensors


def _load_tensors(file: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
    return torch.load(file, map_location=map_location, weights_only=True)


def _under_the_name(function: Callable[..., Any], module: str, name: str) -> Callable[..., Any]:
    """The function as a pickle calls it: torch 2.4 and 2.5 know the functions on their list by their own names."""

    def named(*args: Any) -> Any:
        return function(*args)

    named.__module__, named.__name__, named.__qualname__ = module, name, name
    return named


def _statistic(owner: type, name: str) -> Callable[..., float]:
    """``getattr`` for the statistics of a ``HistoryBuffer`` and for nothing else.

    Example:
        >>> _statistic(HistoryBuffer, 'mean').__name__
        'mean'
        >>> _statistic(HistoryBuffer, '__init__')
        Traceback (most recent call last):
        ...
        se_mm.errors.SeMmError: ...
    """
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise SeMmError(f'a checkpoint asks for {owner!r}.{name}, which is neither a tensor nor part of a log')
    return getattr(HistoryBuffer, name)
