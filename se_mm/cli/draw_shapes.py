"""Draw the demo's detection set."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
  %(prog)s data/shapes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('root', type=Path, help='the folder to draw into')
    parser.add_argument('--seed', type=int, default=0)


def run(args: argparse.Namespace) -> None:
    from ..datasets.prepare import shapes

    shapes.draw(args.root, args.seed)
    print(f'{args.root}: {shapes.SPLITS} images of {", ".join(shapes.CLASSES)}')
