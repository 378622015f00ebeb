"""The number formats that torchvision's kernels lack."""

from __future__ import annotations

import torch
from torch import Tensor


def widen(*tensors: Tensor) -> list[Tensor]:
    """bfloat16 tensors, and float16 ones on the CPU, as float32: torchvision has no kernels for them.

    Example:
        >>> [t.dtype for t in widen(torch.zeros(1).bfloat16(), torch.zeros(1).double())]
        [torch.float32, torch.float64]
    """
    on_cpu = tensors[0].device.type == 'cpu'
    return [t.float() if t.dtype is torch.bfloat16 or (on_cpu and t.dtype is torch.float16) else t for t in tensors]
