"""The families of hosts that attention can be put into, one adapter each."""

from __future__ import annotations

from .cifar import PreActAdapter, ShakeAdapter
from .residual import ResidualAdapter
from .sites import HostAdapter

#: Asked in this order.
ADAPTERS: tuple[HostAdapter, ...] = (ResidualAdapter(), PreActAdapter(), ShakeAdapter())
