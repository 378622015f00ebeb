"""What decides between the fused forms and the plain operators."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...compat.torch_internals import is_transformed


def is_recorded(*tensors: Tensor | None) -> bool:
    """Whether autograd records an operator on these tensors."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def is_fake(v: Tensor) -> bool:
    """Whether a tensor has shape and device but no values: that of a ``FakeTensorMode``, or on the meta device."""
    return v.is_meta or hasattr(v, 'fake_mode')


def is_eager(v: Tensor) -> bool:
    """Whether operators run as they are called: nothing traces, exports, compiles or transforms them.

    Transforms are those of ``torch.func`` and forward-mode AD. A tensor of a ``FakeTensorMode`` takes the path of
    real ones.
    """
    return (
        (type(v) in (Tensor, nn.Parameter) or (isinstance(v, Tensor) and hasattr(v, 'fake_mode')))
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not is_transformed()
    )
