"""What loading needs to know of a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor

from .families import Family


class Network(Protocol):
    """A backbone with attention, as :mod:`se_mm.weights.loading` sees it.

    Attributes:
        families: the namings that its weights are published under, asked in this order; the
            last one matches every checkpoint.
    """

    families: tuple[Family, ...]

    def state_dict(self) -> Mapping[str, Any]:
        """Its tensors, under our names."""

    def variant(self) -> dict[str, str]:
        """What the shapes of its tensors do not tell, as ``{'style': 'pytorch', 'stem_pool': 'torch'}``.

        It is saved with the weights, and compared with what is known of a checkpoint.
        """

    def plugin_names(self) -> Iterator[str]:
        """The beginnings of the keys of mmdet's plugins (``layer2.0.gcb.``), which keep their initial values."""

    def identity_state(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What makes this network equal to a plain one.

        Args:
            weights: of the plain network, under our names.

        Returns:
            The tensors of the attention layers, and those of ``weights`` that change with them.

        Raises:
            SeMmError: if there is no such start.
        """
