"""What a twin changes in a config."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config

from .hosts import Keys


@dataclass(frozen=True)
class Change:
    """A value that differs in the twin.

    Attributes:
        keys: where it stands.
        value: what it becomes.
        why: for a comment and the log.
    """

    keys: Keys
    value: Any
    why: str = ''


@dataclass
class Swap:
    """What turns a config into its twin.

    Attributes:
        changes: in the order in which a reader wants them.
        said: what the user is told once.
    """

    changes: list[Change] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def apply(swap: Swap, cfg: Config) -> Config:
    """A copy of the config with the changes in it."""
    twin = copy.deepcopy(cfg)
    for change in swap.changes:
        node: Any = twin
        for key in change.keys[:-1]:
            node = node[key]
        node[change.keys[-1]] = copy.deepcopy(change.value)
    return twin
