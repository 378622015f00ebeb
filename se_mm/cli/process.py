"""A tool as the owner of its process: set-up, messages for the user, exit status."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable

from mmengine.dist import is_distributed
from mmengine.logging import MMLogger
from torch import distributed

from ..errors import FAILURE, INTERRUPTED, PREEMPTED_STATUS, TRACEBACK_VARIABLE, USER_ERROR, RunError, SeMmError
from ..utils.console import quiet
from .arguments import is_verbose


def own(main: Callable[[], None]) -> None:
    """Runs a tool and leaves the process with its status.

    A mistake of the user is one message on stderr and status 2, a failure of another package one message and status 1;
    a bug shows its traceback. Ctrl-C is neither: status 130, as of a shell.
    """
    try:
        set_up()
        main()
        if is_distributed():
            distributed.barrier()
            distributed.destroy_process_group()  # on success only: NCCL waits for the other processes
    except (SeMmError, RunError) as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        if not getattr(error, 'is_reported', False):
            print(f'error: {error}', file=sys.stderr)
        sys.exit(USER_ERROR if isinstance(error, SeMmError) else FAILURE)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(INTERRUPTED)
    except SystemExit as leaving:
        if leaving.code in (PREEMPTED_STATUS, INTERRUPTED):  # launchers, and users, send their signal again
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
        raise
    finally:
        # Data loader workers ignore SIGTERM, and one that hangs would keep this process from ending.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler reports a killed worker as a failure
        for worker in multiprocessing.active_children():
            worker.kill()


def set_up() -> None:
    """All that the tools change for their whole process, which ``import se_mm`` may not."""
    if not is_verbose():
        quiet(MMLogger.get_instance('mmengine'))  # the loggers of runners follow it
        warnings.filterwarnings('ignore', message='.*faster_coco_eval')  # of mmdet: pycocotools does what it would
