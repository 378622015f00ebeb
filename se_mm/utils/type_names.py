"""The names of types in configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def type_name(node: Mapping[str, Any]) -> str:
    """The name of a node's type without its scope, whether it is given as text or as the class.

    Example:
        >>> type_name({'type': 'mmdet.CocoDataset'}), type_name({'type': dict})
        ('CocoDataset', 'dict')
    """
    kind = node.get('type')
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]
