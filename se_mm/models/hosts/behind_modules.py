"""Attention behind a module of a host that has no place for it."""

from __future__ import annotations

from torch import Tensor, nn

from ..composed import Addition, put_before
from .sites import HostAdapter, Site


class ThenAttention(Addition):
    """A module with attention on its output."""

    se: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return self.se(super().forward(x))


class BehindModulesAdapter(HostAdapter):
    """A host whose attention stands behind modules, of hidden width C // r."""

    se_divisor = 1
    #: What the class of such a module gets.
    addition: type[Addition] = ThenAttention

    def insert(self, site: Site, attention: nn.Module, position: str = 'standard') -> None:
        put_before(site.parent, self.addition)
        site.parent.se = attention
