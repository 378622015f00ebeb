"""Operations on lists of tensors in a few kernels, not one for each tensor: torch has them under private names alone.

``torch.nn.utils.get_total_norm``, which does the first of them, is public from torch 2.6 on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def largest_magnitudes(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The largest magnitude in each tensor, a scalar of its type; NaN where there is one.

    Example:
        >>> [value.item() for value in largest_magnitudes([torch.tensor([1.0, -3.0]), torch.tensor([2.0])])]
        [3.0, 2.0]
    """
    return list(torch._foreach_norm(tensors, ord=float('inf')))


@torch.no_grad()
def copy_all(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    """Copies each source into its target."""
    if sources:
        torch._foreach_copy_(targets, sources)
