"""``--cfg-options``: values for the keys of a config."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from ..errors import SeMmError
from ..utils.console import warn
from .tree import MISSING, find

#: What is read from a config beside the arguments of mmengine's Runner.
_ALSO_READ = (
    'auto_scale_lr',
    'custom_imports',
    'data_root',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
)
#: What may stand for a number.
_WORDS = ('auto', 'dynamic')
#: The keys that a switch of the command line sets.
_SWITCHES = {
    'epochs': ('train_cfg.max_epochs', 'param_scheduler'),
    'iters': ('train_cfg.max_iters', 'train_cfg.max_epochs', 'param_scheduler'),
    'batch_size': ('train_dataloader.batch_size',),
    'workers': ('train_dataloader.num_workers', 'train_dataloader.persistent_workers'),
}


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Merges dotted keys and their values into a config; warns of each key that the config does not have.

    Raises:
        SeMmError: if nothing would read a key, or it does not fit, as an index beyond the end of a list.

    Example:
        >>> cfg = Config(dict(model=dict(depth=50), optim_wrapper=dict()))
        >>> merge_options(cfg, {'model.depth': 101})
        >>> cfg.model.depth
        101
        >>> merge_options(cfg, {'optim_wraper.optimizer.lr': 1})
        Traceback (most recent call last):
        ...
        se_mm.errors.SeMmError: ... the config has no optim_wraper; did you mean optim_wrapper.optimizer.lr?
    """
    known = {*cfg, *inspect.signature(Runner.__init__).parameters, *_ALSO_READ} - {'self', 'cfg'}
    for key, value in options.items():
        first, _, rest = key.partition('.')
        if first not in known:
            close = difflib.get_close_matches(first, known, 1)
            hint = f'; did you mean {close[0]}{"." * bool(rest)}{rest}?' if close else f', and nothing reads {first}'
            raise SeMmError(f'--cfg-options {key}: the config has no {first}{hint}')
        old = find(cfg, key.split('.'))
        if old is MISSING:
            warn(f'--cfg-options: {key} is new, the config has no such key')
        elif isinstance(old, (int, float)) and isinstance(value, str) and value not in _WORDS:
            raise SeMmError(f'--cfg-options {key}={value}: it is {old!r} in the config; expected a number')
    try:
        cfg.merge_from_dict(dict(options))
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise SeMmError(f'--cfg-options do not fit the config: {error}') from error


def refuse_twice(options: Mapping[str, Any], switches: Mapping[str, Any]) -> None:
    """Whether ``--cfg-options`` sets what a switch sets too.

    Raises:
        SeMmError: if so; neither overrides the other.
    """
    for switch, value in switches.items():
        both = [key for key in options if value is not None and key.startswith(_SWITCHES.get(switch, ()))]
        if both:
            raise SeMmError(f'--{switch.replace("_", "-")} sets {", ".join(both)} already: leave one of them out')
