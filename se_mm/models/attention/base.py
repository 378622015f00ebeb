"""What every attention layer can be asked for by the host that it stands in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from torch import Tensor, nn

from ...errors import SeMmError

#: What a subclass may override of a layer that multiplies.
_PARTS = ('forward', 'gate', 'squeeze', 'excitation')


def zero(layer: nn.Module) -> None:
    """Sets the weight of a layer, and its bias where it has one, to zero."""
    for parameter in layer.parameters(recurse=False):
        nn.init.zeros_(parameter)


def fusible_gate(layer: nn.Module | None) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]] | None:
    """:meth:`Attention.gate_of_mean` of a layer; ``None`` where a subclass overrides a part that it stands for.

    Example:
        >>> from se_mm.models.attention import SELayer
        >>> class Doubled(SELayer):
        ...     def gate(self, u):
        ...         return 2 * super().gate(u)
        >>> fusible_gate(SELayer(8)) is None, fusible_gate(Doubled(8)) is None, fusible_gate(None) is None
        (False, True, True)
    """
    return layer.gate_of_mean() if _gate_of_mean_holds(type(layer)) else None


@cache
def _gate_of_mean_holds(cls: type) -> bool:
    """Whether a class has ``gate_of_mean`` and does not override what that stands for."""
    definer = next((i for i, base in enumerate(cls.__mro__) if 'gate_of_mean' in vars(base)), None)
    return definer is not None and not any(part in vars(base) for base in cls.__mro__[:definer] for part in _PARTS)


class Attention(nn.Module):
    """A layer that rescales a map (N, C, H, W) and keeps its shape and dtype.

    A layer that multiplies defines :meth:`gate`; one that adds, or blends, defines :meth:`forward`.

    Args:
        in_channels: C, the channels of the map.

    Example:
        >>> import torch
        >>> class Half(Attention):
        ...     def gate(self, u):
        ...         return u.new_full((u.shape[0], u.shape[1], 1, 1), 0.5)
        >>> Half(8)(torch.ones(1, 8, 2, 2)).unique()
        tensor([0.5000])
    """

    #: The attributes that the shapes of the tensors do not tell, and that weights depend on.
    settings: tuple[str, ...] = ()

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels

    def gate(self, u: Tensor) -> Tensor:
        """What ``u`` is multiplied by, in its dtype: (N, C, 1, 1), or a shape that broadcasts to (N, C, H, W).

        Raises:
            SeMmError: if the layer does not multiply.
        """
        raise SeMmError(f'{type(self).__name__} has no gate: it does not multiply the map')

    def forward(self, u: Tensor) -> Tensor:
        """The rescaled map, of the shape and dtype of ``u``."""
        return u * self.gate(u)

    def zero_init_gate(self) -> float:
        """Sets the weights such that ``layer(u) == c * u`` for every map, exactly, and the layer still learns.

        Returns:
            c, a power of two: 1/2 for one sigmoid at zero.

        Raises:
            SeMmError: if no such weights exist.
        """
        raise SeMmError(f'{type(self).__name__} has no weights at which its gate is constant')

    def variant(self) -> str:
        """The layer with its :attr:`settings`; a subclass of one that has them takes its weights, others refuse."""
        owner = next(base for base in type(self).__mro__ if 'settings' in vars(base))
        if owner is Attention:
            return type(self).__name__
        return f'{owner.__name__}({", ".join(f"{name}={getattr(self, name)!r}" for name in self.settings)})'

    def extra_repr(self) -> str:
        return ', '.join(f'{name}={getattr(self, name)!r}' for name in ('in_channels', *self.settings))

    def gate_of_mean(self) -> tuple[Callable[..., Tensor], tuple[Tensor | None, ...]] | None:
        """The gate as a function of the channel means, where nothing else determines it; else ``None``.

        Returns:
            ``(function, weights)`` with ``gate(u) == function(mean, *weights)`` for the means
            of ``u`` over height and width, (N, C, 1, 1) and float32 for half-precision maps.
        """
        return None


def variant_of(layer: nn.Module) -> str:
    """:meth:`Attention.variant`; of a layer of another library its class."""
    return layer.variant() if isinstance(layer, Attention) else type(layer).__name__
