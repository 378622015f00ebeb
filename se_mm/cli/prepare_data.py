"""Say what of a data set is there, fetch what is not, check its pictures: tools/prepare_data.py places365 ROOT"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('data', choices=['places365', 'coco'])
    parser.add_argument('root', type=Path, help='where it is, or is to go')
    parser.add_argument(
        '--parts', nargs='+', metavar='PART', help='such as train-challenge, test (default: train and val)'
    )
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument(
        '--download', action='store_true', help='fetch and unpack what is missing; goes on where it was cut'
    )
    doing.add_argument('--check', action='store_true', help='read the header of every picture')


def run(args: argparse.Namespace) -> None:
    from ..datasets.prepare import sources

    parts = args.parts or sources.USUAL_PARTS[args.data]
    if args.download:
        sources.fetch(args.data, args.root, parts)
    lines, complete = sources.report(args.data, args.root, parts)
    if not args.check:
        print('\n'.join(lines))
        sys.exit(0 if complete else 1)
    count, broken = sources.broken_images(args.data, args.root, parts)
    print('\n'.join(broken[:SHOWN]))
    print(
        f'{count} pictures looked at, {len(broken)} missing or broken'
        + (f' ({SHOWN} shown)' if len(broken) > SHOWN else '')
    )
    sys.exit(1 if broken else 0)
