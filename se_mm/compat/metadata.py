"""What torch saves beside the tensors of a state dict: a dictionary for each module, by its name.

torch's documentation tells of it, and gives no public name to the attribute ``_metadata`` that holds it; the hook that
adds to it has a public name since torch 2.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn


def metadata_of(state_dict: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The metadata of a state dict; empty where it has none."""
    return getattr(state_dict, '_metadata', None) or {}


def set_metadata(state_dict: Mapping[str, Any], metadata: dict[str, dict[str, Any]]) -> None:
    """Gives a state dict, which must be an ``OrderedDict``, its metadata."""
    state_dict._metadata = metadata


def on_state_dict(module: nn.Module, hook: Callable[[nn.Module, dict[str, Any], str, dict[str, Any]], None]) -> None:
    """Calls ``hook(module, state_dict, prefix, metadata)`` when the module is saved."""
    getattr(module, 'register_state_dict_post_hook', module._register_state_dict_hook)(hook)
