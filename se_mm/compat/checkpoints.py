"""Lets a checkpoint of mmengine's be resumed where torch reads tensors and plain data only.

Since torch 2.6 ``torch.load`` refuses every class that is not on its list. mmengine keeps its
log in a checkpoint, as ``HistoryBuffer`` over numpy arrays; mmengine 0.10.7 knows nothing of
that list, so ``--resume`` would fail there. Nothing here can run code from a file: in the
place of ``getattr``, which the log's statistics are pickled through, stands a look-up of
those statistics alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from ..errors import SeMmError

STATISTICS = ('min', 'max', 'mean', 'current')


def install() -> None:
    """Puts the classes of mmengine's log on torch's list, where torch has one; may be called again."""
    if torch.__version__ < torch.torch_version.TorchVersion('2.6'):
        return
    reconstruct = np.zeros(1).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(kind)) for kind in ('float64', 'float32', 'int64', 'int32')]
    numpy_names = [
        (function, f'{module}.multiarray.{function.__name__}')
        for function in (reconstruct, scalar)
        for module in ('numpy.core', 'numpy._core')  # numpy 1 and numpy 2 write different names
    ]
    torch.serialization.add_safe_globals(
        [HistoryBuffer, np.ndarray, np.dtype, *dtypes, *numpy_names, (_statistic, 'builtins.getattr')]
    )


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
