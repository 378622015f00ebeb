"""Keys on the command line that the config does not have."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable

from mmengine.config import Config
from mmengine.runner import Runner

from ..errors import SeMmError

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


def check_keys(cfg: Config, options: Iterable[str]) -> None:
    """Whether each option begins with a key that the config has, or that a training reads.

    Raises:
        SeMmError: if not, with the key that is closest: nothing would read it.

    Example:
        >>> check_keys(Config(dict(optim_wrapper=dict())), ['optim_wraper.optimizer.lr'])
        Traceback (most recent call last):
        ...
        se_mm.errors.SeMmError: ... the config has no optim_wraper; did you mean optim_wrapper.optimizer.lr?
    """
    read = [*inspect.signature(Runner.__init__).parameters, *_ALSO_READ]
    known = [key for key in {*cfg, *read} if key not in ('self', 'cfg')]
    for option in options:
        first, _, rest = option.partition('.')
        if first not in known:
            close = difflib.get_close_matches(first, known, 1)
            hint = f'; did you mean {close[0]}{"." * bool(rest)}{rest}?' if close else f', and nothing reads {first}'
            raise SeMmError(f'--cfg-options {option}: the config has no {first}{hint}')
