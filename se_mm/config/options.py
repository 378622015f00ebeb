"""``--cfg-options``: values for the keys of a config."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ..errors import SeMmError
from .tree import MISSING, find


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Merges dotted keys and their values into a config; warns of each key that the config does not have.

    Raises:
        SeMmError: if a key does not fit the config, such as an index beyond the end of a list.

    Example:
        >>> cfg = Config(dict(model=dict(depth=50)))
        >>> merge_options(cfg, {'model.depth': 101})
        >>> cfg.model.depth
        101
    """
    for key in options:
        if find(cfg, key.split('.')) is MISSING:
            print_log(
                f'--cfg-options: {key} is new, the config has no such key', logger='current', level=logging.WARNING
            )
    try:
        cfg.merge_from_dict(dict(options))
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise SeMmError(f'--cfg-options do not fit the config: {error}') from error
