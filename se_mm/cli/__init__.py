"""The command line: what stands behind ``tools/*.py`` and ``se-mm``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

#: Each is a module here with ``add_arguments(parser)`` and ``run(args)``; what it needs it imports in ``run``.
COMMANDS = (
    'train',
    'test',
    'infer',
    'swap_backbone',
    'convert_checkpoint',
    'prepare_data',
    'check_env',
    'benchmark',
    'benchmark_data',
    'draw_shapes',
)


def run(command: str, argv: Sequence[str] | None = None) -> None:
    """Parses the arguments of a command and runs it, in a process of any owner.

    Args:
        command: of ``COMMANDS``.
        argv: the arguments; ``None``: those of the process.

    Raises:
        SeMmError: for a mistake of the user.
        SystemExit: for arguments that argparse refuses, and where a command has a status to leave with.
    """
    module = import_module(f'.{command}', __package__)
    parser = argparse.ArgumentParser(
        prog=f'{command}.py', description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_arguments(parser)
    module.run(parser.parse_args(argv))


def main(command: str) -> None:
    """Runs a command as the whole of this process: errors in words, workers ended, an exit status."""
    module = import_module('.process', __package__)
    module.own(lambda: run(command))
