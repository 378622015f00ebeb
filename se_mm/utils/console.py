"""What is said, and where: one rule for the whole package.

- A result, which is what a command was asked for (a table, a list), is printed.
- What a user should see on the way is said (:func:`say`): on the console, and in the log file of a run.
- What only explains a run afterwards is ``print_log(text, logger='current')``: in the log file alone, unless a command
  is verbose. What other packages print there is turned into it (:func:`prints_logged`).
- What is odd, and does not stop anything, is warned of (:func:`warn`), in both places. Rooms that import torch alone
  call ``warnings.warn``.
- What stops is an exception (:mod:`se_mm.errors`).

A command is quiet unless it is verbose: the console handler of mmengine's loggers is replaced by one that shows what is
said, warnings and errors. A library's user gets mmengine's own console.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from mmengine.dist import is_main_process
from mmengine.logging import MMLogger, print_log
from tqdm import tqdm

#: Of mmengine and mmdet, about what no user can change, or what is said in other words.
_UNSAID = (
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'Failed to search registry with scope',
    '`save_param_scheduler` is True but',
    'The testing results of the whole dataset is empty',
)


def say(text: str) -> None:
    """Shows a line to the user, once for all processes, and keeps it in the log file where there is one."""
    if is_main_process():
        MMLogger.get_current_instance().info(text, extra={'is_said': True})


def warn(text: str) -> None:
    """Shows a warning to the user, once for all processes, and keeps it in the log file where there is one."""
    print_log(text, logger='current', level=logging.WARNING)


@contextmanager
def prints_logged() -> Iterator[None]:
    """While it lasts, what is printed goes to the log, as pycocotools' lines do."""
    with redirect_stdout(_Log()):
        yield


def quiet(logger: MMLogger) -> None:
    """Lets the console of a logger show what is said, warnings and errors; its files keep everything."""
    logger.handlers = [QuietHandler(h) if type(h) is logging.StreamHandler else h for h in logger.handlers]


def is_quiet() -> bool:
    """Whether the newest logger is; the next one should be, too."""
    return any(isinstance(handler, QuietHandler) for handler in MMLogger.get_current_instance().handlers)


def log_file() -> str | None:
    """The file that the newest logger writes to; ``None`` where this process has none."""
    handlers = MMLogger.get_current_instance().handlers
    return next((handler.baseFilename for handler in handlers if isinstance(handler, logging.FileHandler)), None)


class QuietHandler(logging.Handler):
    """Plain lines that do not break a progress bar: what is said on stdout, warnings and errors on stderr.

    It has the level and the filters of mmengine's handler, which it replaces.
    """

    def __init__(self, replaced: logging.StreamHandler) -> None:
        super().__init__(replaced.level)
        self.filters = [*replaced.filters, _is_shown]

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, 'is_said', False):
            stdout = sys.stdout.console if isinstance(sys.stdout, _Log) else sys.stdout
            tqdm.write(record.getMessage(), file=stdout)
            stdout.flush()
        else:
            tqdm.write(f'{record.levelname}: {record.getMessage()}', file=sys.stderr)


def _is_shown(record: logging.LogRecord) -> bool:
    is_odd = record.levelno >= logging.WARNING and not str(record.msg).startswith(_UNSAID)
    return is_odd or getattr(record, 'is_said', False)


class _Log(io.TextIOBase):
    """A stream whose lines are logged, in the place of the console."""

    def __init__(self) -> None:
        self.console = sys.stdout.console if isinstance(sys.stdout, _Log) else sys.stdout

    def write(self, text: str) -> int:
        if text.strip():
            print_log(text.rstrip(), logger='current')
        return len(text)
