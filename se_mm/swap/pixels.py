"""The normalisation of pixels, which changes with the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ..config.tree import Keys, nodes
from .changes import Change
from .hosts import Host
from .se_weights import MEAN, STD


def preprocessors_of(cfg: Config, host: Host) -> list[tuple[Keys, Mapping[str, Any]]]:
    """The preprocessors that normalise what a host sees: of the modules that it stands in."""
    found = []
    for keys, node in nodes(cfg._cfg_dict):
        if 'data_preprocessor' in keys and node.get('mean') is not None and node.get('std') is not None:
            owner = keys[: keys.index('data_preprocessor')]
            if owner == host.keys[: len(owner)]:
                found.append((keys, node))
    return found


def pixel_changes(cfg: Config, host: Host) -> list[Change]:
    """What makes its preprocessors give RGB with ImageNet's means and deviations."""
    changes = []
    for keys, node in preprocessors_of(cfg, host):
        order = 'to_rgb' if 'to_rgb' in node or keys == ('data_preprocessor',) else 'bgr_to_rgb'
        wanted = {'mean': MEAN, 'std': STD, order: True}
        if node.get('rgb_to_bgr'):
            wanted['rgb_to_bgr'] = False
        why = 'the pixels that these weights were trained with: RGB, ImageNet means and deviations'
        changed = {name: value for name, value in wanted.items() if _differs(node.get(name), value)}
        for name, value in changed.items():
            changes.append(Change((*keys, name), value, why))
            why = ''
    return changes


def _differs(old: Any, new: Any) -> bool:
    return list(old) != list(new) if isinstance(old, (list, tuple)) and isinstance(new, list) else old != new
