"""A quiet console: warnings, errors and what se_mm itself says; the rest goes to mmengine's log file."""

from __future__ import annotations

import functools
import logging
import os
import sys
import warnings
from typing import Any

from mmengine.config import Config

#: Set in the environment: as ``--verbose``.
VERBOSE_VARIABLE = 'SE_MM_VERBOSE'
#: Of mmdet, at its import: it has pycocotools for what faster_coco_eval would do, and we read no OneDL data sets.
_UNTRUE = ('faster_coco_eval is not installed', 'Could not import OneDL')
#: Of mmengine, about names in its own and mmdet's code.
_DEPRECATIONS = ('"FileClient" will be deprecated', '"HardDiskBackend" is the alias')


def is_verbose() -> bool:
    return os.environ.get(VERBOSE_VARIABLE, '') not in ('', '0')


def quiet() -> None:
    """Keeps what mmengine logs as information, and what pycocotools prints, from the console of this process."""
    if is_verbose():
        return
    from mmengine.logging import MMLogger, logger
    from pycocotools import coco, cocoeval

    for text in _UNTRUE:
        warnings.filterwarnings('ignore', message=f'.*{text}')
    coco.print = cocoeval.print = _log
    logger.print = _print  # of print_log without a logger
    make = MMLogger.__init__

    @functools.wraps(make)
    def make_quiet(self: MMLogger, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self.handlers = [_Console(h) if type(h) is logging.StreamHandler else h for h in self.handlers]

    MMLogger.__init__ = make_quiet


def show_progress(cfg: Config) -> None:
    """Adds the summary, the progress line and the metrics that a quiet console shows."""
    if not is_verbose():
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='se_mm.ProgressHook')]


class _Console(logging.StreamHandler):
    """Warnings and errors as plain lines, which do not break a progress bar."""

    def __init__(self, replaced: logging.StreamHandler) -> None:
        super().__init__(sys.stderr)
        self.setLevel(max(logging.WARNING, replaced.level))
        self.setFormatter(logging.Formatter('%(levelname)s: %(message)s'))
        self.filters = list(replaced.filters)

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        if not str(record.msg).startswith(_DEPRECATIONS):
            tqdm.write(self.format(record), file=sys.stderr)


def _log(*values: Any, **_: Any) -> None:
    from mmengine.logging import print_log

    print_log(' '.join(map(str, values)), logger='current')


def _print(*values: Any) -> None:
    if not str(values[0]).startswith(_UNTRUE):
        print(*values)
