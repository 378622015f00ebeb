"""Reading checkpoints of mmengine's, and of other trainers, where torch reads tensors and plain data only.

mmengine keeps its log in a checkpoint, as ``HistoryBuffer`` over numpy arrays. onedl-mmengine puts these on torch's
list while it reads; the original does not, and cannot resume its own checkpoints with torch 2.6 and later. The trainers
of torchvision and timm keep their arguments, an ``argparse.Namespace``.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np
from mmengine.logging.history_buffer import HistoryBuffer
from torch import serialization

from ..errors import SeMmError

STATISTICS = ('min', 'max', 'mean', 'current')
#: torch's list is of the process: threads that read take turns.
_LOCK = RLock()


@contextmanager
def log_classes_allowed() -> Iterator[None]:
    """While it lasts ``torch.load(weights_only=True)`` reads mmengine's log too, and the arguments of a command.

    No file can run code through it: ``getattr``, by which the log's statistics are pickled, finds those alone.
    """
    with _LOCK:
        before = serialization.get_safe_globals()
        serialization.add_safe_globals(_log_classes())  # torch 2.4 has no `safe_globals`, which does the same
        try:
            yield
        finally:
            serialization.clear_safe_globals()
            serialization.add_safe_globals(before)


def _log_classes() -> list[Any]:
    dtypes = [type(np.dtype(kind)) for kind in ('float64', 'float32', 'int64', 'int32')]
    numpy_functions = [
        _under_the_name(function, f'{module}.multiarray', function.__name__)
        for function in (np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0])
        for module in ('numpy.core', 'numpy._core')  # numpy 1 and numpy 2 write different names
    ]
    statistic = _under_the_name(_statistic, 'builtins', 'getattr')
    return [Namespace, HistoryBuffer, np.ndarray, np.dtype, *dtypes, *numpy_functions, statistic]


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
