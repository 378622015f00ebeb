"""What the processes of a distributed training agree on, and how much memory one has had."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

from ..errors import SeMmError

T = TypeVar('T')


def of_main_process(compute: Callable[[], T]) -> T:
    """What the main process computes, in all processes: they may see different file systems.

    Args:
        compute: called in the main process alone.

    Raises:
        SeMmError: in all processes, if ``compute`` raises it; only the main process reports it.

    Example:
        >>> of_main_process(lambda: 'epoch_3.pth')
        'epoch_3.pth'
    """
    outcome: list[Any] = [None, None]
    if is_main_process():
        try:
            outcome[0] = compute()
        except SeMmError as error:
            outcome[1] = error
    broadcast_object_list(outcome)
    result, error = outcome
    if error:
        error.is_reported = not is_main_process()
        raise error
    return result


def peak_resident_bytes() -> int:
    """The most memory that this process has had from the system so far."""
    status = Path('/proc/self/status')
    own = re.search(r'VmHWM:\s+(\d+) kB', status.read_text()) if status.is_file() else None
    if own:  # Linux, where ru_maxrss of a new process starts at its parent's
        return 1024 * int(own[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else 1024 * peak
