"""What the backward passes of the fused forms have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...compat.torch_internals import is_batched


def through_small(
    function: Callable[..., tuple[Tensor, ...]], tensors: Sequence[Tensor | None], sums: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Runs what was made of small tensors once more, and differentiates it.

    Args:
        function: makes the parts, small themselves, of the tensors.
        tensors: its arguments; ``None`` for one that is absent.
        sums: the gradients of the parts, in any dtype; where there are more of them, the first ones.

    Returns:
        The parts, detached, and the gradients of the tensors: ``None`` for one that is absent or unused.

    Example:
        >>> through_small(lambda a, b: (a * a,), (torch.tensor(3.0), None), (torch.tensor(1.0),))
        ([tensor(9.)], [tensor(6.), None])
    """
    with torch.enable_grad():
        leaves = [None if tensor is None else tensor.detach().requires_grad_() for tensor in tensors]
        parts = function(*leaves)
    present = [leaf for leaf in leaves if leaf is not None]
    sums = [total.to(part) for total, part in zip(sums, parts, strict=False)]
    found = iter(torch.autograd.grad(parts, present, sums, allow_unused=True))
    return [part.detach() for part in parts], [None if leaf is None else next(found) for leaf in leaves]


def by_operators(grad: Tensor) -> bool:
    """Whether a backward runs in plain operators: it is recorded (``create_graph=True``), or runs over many gradients.

    The latter is ``torch.autograd.functional.jacobian(vectorize=True)``: no ``vmap`` goes through what is written over.
    """
    return torch.is_grad_enabled() or is_batched(grad)


def recorded_gradients(
    function: Callable[..., Tensor], tensors: Sequence[Tensor | None], grad: Tensor
) -> list[Tensor | None]:
    """The gradients of a function's arguments by operators that autograd records; see :func:`by_operators`.

    Args:
        function: of plain operators.
        tensors: its arguments; ``None`` for one that is absent.
        grad: of its result.

    Returns:
        One for each argument; ``None`` where it is absent or needs no gradient.
    """
    is_recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        # Aliases: a tensor may be made from another one, and its own gradient counts in its own place.
        aliases = [None if tensor is None else tensor.view_as(tensor) for tensor in tensors]
        wanted = [alias is not None and alias.requires_grad for alias in aliases]
        inputs = [alias for alias, wants in zip(aliases, wanted, strict=True) if wants]
        found = iter(torch.autograd.grad(function(*aliases), inputs, grad, create_graph=is_recorded))
    return [next(found) if wants else None for wants in wanted]
