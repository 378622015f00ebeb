"""What a twin changes in a config."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config

from ..config.tree import Keys, value_at


@dataclass(frozen=True)
class Change:
    """A value that differs in the twin, and why, for a comment above it."""

    keys: Keys
    value: Any
    why: str = ''


@dataclass
class Swap:
    """What turns a config into its twin, in the order in which a reader wants it; what the user is told once."""

    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def apply(swap: Swap, cfg: Config) -> Config:
    """A copy of the config with the changes in it."""
    twin = copy.deepcopy(cfg)
    for change in swap.changes:
        value_at(twin, change.keys[:-1])[change.keys[-1]] = copy.deepcopy(change.value)
    return twin
