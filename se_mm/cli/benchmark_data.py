"""Measure the reading of a list of millions and the decoding of pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
  %(prog)s --images DIR
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--lines', type=int, default=8_000_000, help='of the generated list (default: 8 million)')
    parser.add_argument('--images', type=Path, help='a folder of JPEGs to decode, with its subfolders')


def run(args: argparse.Namespace) -> None:
    from ..benchmarks import data_loading

    files = data_loading.jpegs_in(args.images) if args.images else []
    print(data_loading.measure_list(args.lines))
    if files:
        print('one process, JPEG of 256 x 256:')
        for line in data_loading.measure_decoders(files):
            print(line)
