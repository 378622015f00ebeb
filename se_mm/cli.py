"""What the tools share: their arguments, and the edge where an error meets the user."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from mmengine.config import DictAction
from torch import distributed

from .errors import SeMmError

USER_ERROR = 2
INTERRUPTED = 130
#: Set in the environment: what led to a message is shown before it.
TRACEBACK_VARIABLE = 'SE_MM_TRACEBACK'


def run(main: Callable[[], None]) -> None:
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


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of :func:`se_mm.config.load_config`, and the launcher's."""
    parser.add_argument('config', help='a config file, or package::path of one that a package ships')
    parser.add_argument('--work-dir', help='where logs and checkpoints go (default: work_dirs/<config>)')
    parser.add_argument(
        '--data-root', help="replaces the config's data_root; so does the environment variable SE_MM_DATA"
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='key=value pairs that override the config, dotted keys'
    )
    parser.add_argument(
        '--classes',
        nargs='*',
        metavar='NAME',
        help="replaces the config's classes, in the data sets and the heads; without names: the folders of train/",
    )
    parser.add_argument(
        '--se', action='store_true', help="use the SE twin of the config's backbone (see tools/swap_backbone.py)"
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def existing_file(path: str, what: str) -> str:
    """The path, if it is a file or a URL.

    Raises:
        SeMmError: if not, naming ``what`` was looked for.

    Example:
        >>> existing_file('https://host/epoch_1.pth', 'checkpoint')
        'https://host/epoch_1.pth'
    """
    if '://' not in path and not Path(path).is_file():
        raise SeMmError(f'{what} {path} does not exist (looked in {Path(path).absolute()})')
    return path


def set_local_rank(args: argparse.Namespace) -> None:
    """Hands on the rank from launchers that pass it as an argument rather than in the environment."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
