"""What the processes of a distributed training agree on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

from ..errors import SeMmError

T = TypeVar('T')


def of_main_process(compute: Callable[[], T]) -> T:
    """What ``compute`` returns in the main process, in all processes: they may see different file systems.

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
