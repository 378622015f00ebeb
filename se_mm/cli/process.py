"""The edge where an error meets the user."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable

from torch import distributed

from ..errors import TRACEBACK_VARIABLE, USER_ERROR, SeMmError

INTERRUPTED = 130


def own(main: Callable[[], None]) -> None:
    """Runs a tool and leaves the process with its status.

    A mistake of the user is one message on stderr and status 2; a bug keeps its traceback.
    Ctrl-C is neither: status 130, as of a shell.
    """
    try:
        main()
        if distributed.is_available() and distributed.is_initialized():
            distributed.barrier()
    except SeMmError as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        print(f'error: {error}', file=sys.stderr)
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(INTERRUPTED)
    finally:
        _end_workers()
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()  # its threads would abort a process that comes to its end


def _end_workers() -> None:
    """Workers that read data leave SIGTERM to the main process; one that hangs would keep it from its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler takes their end for a failure
    for worker in multiprocessing.active_children():
        worker.kill()
