"""The command line: what stands behind ``tools/*.py``, ``se-mm`` and ``python -m se_mm``."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from ..errors import USER_ERROR
from ..version import __version__

#: What ``se-mm`` calls each command, and its module here: it has ``add_arguments(parser)``, ``run(args)`` and
#: ``EXAMPLES``; what it needs it imports in ``run``, so that ``--help`` is quick. ``tools/`` has a file for each.
COMMANDS = {
    'train': 'train',
    'test': 'test',
    'infer': 'infer',
    'export': 'export',
    'prepare-data': 'prepare_data',
    'swap': 'swap_backbone',
    'convert': 'convert_checkpoint',
    'bundle': 'bundle',
    'check-env': 'check_env',
    'analyze-gates': 'analyze_gates',
    'prune-gates': 'prune_gates',
    'benchmark': 'benchmark',
    'complexity': 'complexity',
    'demo-data': 'draw_shapes',
    'compare': 'compare',
}


def run(command: str, argv: Sequence[str] | None = None) -> None:
    """Parses the arguments of a command (``None``: those of the process) and runs it, in a process of any owner.

    Raises:
        SeMmError: for a mistake of the user.
        SystemExit: for arguments that argparse refuses, and where a command has a status to leave with.
    """
    module, args = _parse(command, f'tools/{command}.py', argv)
    module.run(args)


def main(command: str, prog: str | None = None, argv: Sequence[str] | None = None) -> None:
    """Runs a command as the whole of this process: errors in words, workers ended, an exit status."""
    module, args = _parse(command, prog or f'tools/{command}.py', argv)
    process = import_module('.process', __package__)
    process.own(lambda: module.run(args))


def se_mm(argv: Sequence[str] | None = None) -> None:
    """``se-mm COMMAND ...``: the commands of ``tools/`` in an environment where the package is installed."""
    argv = sys.argv[1:] if argv is None else list(argv)
    name = argv[0] if argv else '--help'
    if name in ('-h', '--help'):
        print('usage: se-mm COMMAND ...\n')
        for short, module in COMMANDS.items():
            doc = import_module(f'.{module}', __package__).__doc__ or ''
            print(f'  {short:{max(map(len, COMMANDS))}}  {doc.strip().splitlines()[0]}')
        print('\nse-mm COMMAND --help says more of each')
    elif name == '--version':
        print(f'se_mm {__version__}')
    else:
        known = COMMANDS | {module.replace('_', '-'): module for module in COMMANDS.values()}
        module = known.get(name.replace('_', '-'))
        if module is None:
            close = difflib.get_close_matches(name, known, 1)
            hint = f'did you mean {close[0]}?' if close else f'expected one of {", ".join(COMMANDS)}'
            print(f'error: se-mm has no command {name}; {hint}', file=sys.stderr)
            sys.exit(USER_ERROR)
        main(module, f'se-mm {name}', argv[1:])


def _parse(command: str, prog: str, argv: Sequence[str] | None) -> tuple[ModuleType, argparse.Namespace]:
    module = import_module(f'.{command}', __package__)
    parser = argparse.ArgumentParser(
        prog=prog,
        description=module.__doc__,
        epilog=f'examples:\n{module.EXAMPLES}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return module, parser.parse_intermixed_args(argv)
