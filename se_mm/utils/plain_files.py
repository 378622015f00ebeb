"""Pickles and YAML of annotations, proposals and results: read as data, never run as code."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import yaml
from mmengine.fileio import PickleHandler, YamlHandler, register_handler
from mmengine.structures import InstanceData, LabelData, PixelData

from ..errors import SeMmError

_ARRAY = np.zeros(1).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]


def _tensor_storage(content: bytes) -> Any:
    """torch's own reads the storage of a tensor as a pickle of anything."""
    return torch.load(io.BytesIO(content), weights_only=True)


def _encode(text: str, encoding: str) -> bytes:
    """How protocol 2 writes bytes."""
    return text.encode(encoding)


#: What a pickle may name; numpy 1 and numpy 2 keep the same functions under different names.
PLAIN: dict[tuple[str, str], Any] = {
    ('collections', 'OrderedDict'): OrderedDict,
    **{
        (module, kind.__name__): kind
        for kind in (set, frozenset, bytearray, complex, slice, range)
        for module in ('builtins', '__builtin__')  # of protocol 2
    },
    ('_codecs', 'encode'): _encode,
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
    **{(f'{core}.multiarray', '_reconstruct'): _ARRAY for core in ('numpy.core', 'numpy._core')},
    **{(f'{core}.multiarray', 'scalar'): _SCALAR for core in ('numpy.core', 'numpy._core')},
    **{(kind.__module__, kind.__name__): kind for kind in (InstanceData, LabelData, PixelData)},
    ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
    ('torch.storage', '_load_from_bytes'): _tensor_storage,
}


class PlainUnpickler(pickle.Unpickler):
    """Unpickles containers, numbers, arrays, tensors and mmengine's structures.

    Raises:
        SeMmError: for a pickle that names anything else, which could run code.

    Example:
        >>> PlainUnpickler(io.BytesIO(pickle.dumps({'boxes': np.ones((1, 4))}))).load()
        {'boxes': array([[1., 1., 1., 1.]])}
        >>> PlainUnpickler(io.BytesIO(pickle.dumps(print))).load()
        Traceback (most recent call last):
        ...
        se_mm.errors.SeMmError: ...
    """

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        try:
            return PLAIN[module, name]
        except KeyError:
            raise SeMmError(
                f'a pickle asks for {module}.{name}, which is no plain data and could run code; refused'
            ) from None


class _PlainPickles(PickleHandler):
    def load_from_fileobj(self, file: Any, **_: Any) -> Any:
        return PlainUnpickler(file).load()


class _PlainYaml(YamlHandler):
    def load_from_fileobj(self, file: Any, **_: Any) -> Any:
        return yaml.load(file, Loader=yaml.SafeLoader)


def install() -> None:
    """Puts these in the place of mmengine's; may be called again."""
    register_handler(['pickle', 'pkl'])(_PlainPickles)
    register_handler(['yaml', 'yml'])(_PlainYaml)
