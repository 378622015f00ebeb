"""Attention behind a module of a host that has no place for it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..composed import Addition, put_before
from .sites import HostAdapter, Site


class ThenAttention(Addition):
    """A module with attention on its output."""

    se: nn.Module

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.se(super().forward(*args, **kwargs))


class BehindModulesAdapter(HostAdapter):
    """A host whose attention stands behind modules, of hidden width C // r."""

    se_divisor = 1
    #: What the class of such a module gets.
    addition: type[Addition] = ThenAttention

    def prepare(self, site: Site, position: str) -> None:
        put_before(site.parent, self.addition)
