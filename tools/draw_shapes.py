#!/usr/bin/env python
"""Draw the demo's detection set: tools/draw_shapes.py data/shapes"""

import argparse
from pathlib import Path

from se_mm import cli
from se_mm.datasets import shapes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=Path, help='the folder to draw into')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    shapes.draw(args.root, args.seed)
    print(f'{args.root}: {shapes.SPLITS} images of {", ".join(shapes.CLASSES)}')


if __name__ == '__main__':
    cli.run(main)
