"""What differs between the versions of torch.export."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from ..errors import SeMmError


def check_torch() -> None:
    """Refuses a torch that is too old to export, by an ``SeMmError``."""
    # The first whose ONNX exporter takes programs and translations of custom operators.
    if torch.__version__ < '2.6':
        raise SeMmError(f'export needs torch 2.6 or newer, found {torch.__version__}; pip install -U torch')


def recording_options() -> dict[str, Any]:
    """Arguments of ``torch.export.export`` with which conditions on a free size are checked when the program runs."""
    known = inspect.signature(torch.export.export).parameters
    options = {'strict': False, 'prefer_deferred_runtime_asserts_over_guards': True}
    return {name: value for name, value in options.items() if name in known}
