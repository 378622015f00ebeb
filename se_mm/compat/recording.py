"""What differs between the versions of torch.export."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from ..errors import SeMmError

#: The first torch whose ONNX exporter takes programs and translations of custom operators.
LEAST_TORCH = (2, 6)


def check_torch() -> None:
    """Refuses a torch that is too old to export, by an ``SeMmError``."""
    if tuple(int(part) for part in torch.__version__.split('.')[:2]) < LEAST_TORCH:
        least = '.'.join(map(str, LEAST_TORCH))
        raise SeMmError(f'export needs torch {least} or newer, found {torch.__version__}; pip install -U torch')


def recording_options() -> dict[str, Any]:
    """Arguments of ``torch.export.export`` with which conditions on a free size are checked when the program runs."""
    known = inspect.signature(torch.export.export).parameters
    options = {'strict': False, 'prefer_deferred_runtime_asserts_over_guards': True}
    return {name: value for name, value in options.items() if name in known}
