"""What decides whether a map may be written over."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def is_recorded(*tensors: Tensor | None) -> bool:
    """Whether autograd will want what an operator on these tensors keeps.

    Example:
        >>> is_recorded(torch.ones(1)), is_recorded(torch.ones(1, requires_grad=True))
        (False, True)
    """
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def is_eager(v: Tensor) -> bool:
    """Whether the operators run as they are called: nothing traces, exports, compiles or transforms them."""
    return type(v) in (Tensor, nn.Parameter) and not (torch.jit.is_tracing() or torch.compiler.is_compiling())
