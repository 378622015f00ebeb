"""Count parameters and multiply-adds of models, or of the paper's networks beside its figures."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import CONFIG_HELP

EXAMPLES = """\
  %(prog)s configs/faster_rcnn_r50_coco.py configs/faster_rcnn_se_r50_coco.py
  %(prog)s mmpretrain::resnet/resnet50_8xb32_in1k.py --size 160 160
  %(prog)s -o docs/complexity.md
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('configs', nargs='*', metavar='CONFIG', help=f"{CONFIG_HELP}; none: the paper's networks")
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help="of the picture (default: a classifier's test crop, 800 1280 for a detector)",
    )
    parser.add_argument('-o', '--output', type=Path, metavar='FILE', help='write Markdown there')


def run(args: argparse.Namespace) -> None:
    from ..analysis.complexity import complexity_table
    from ..analysis.paper_networks import paper_page
    from ..errors import SeMmError
    from ..utils.atomic import write_atomic

    if args.size and min(args.size) < 1:
        raise SeMmError(f'--size is {args.size[0]} {args.size[1]}; expected a height and a width above 0')
    if not args.configs and args.size:
        raise SeMmError("--size needs a config: the paper's networks have sizes of their own")
    text, failed = complexity_table(args.configs, args.size) if args.configs else (paper_page(), [])
    if text and not args.output:
        print(text)
    elif text:
        try:
            write_atomic(args.output, text + '\n')
        except OSError as error:
            raise SeMmError(f'-o {args.output} cannot be written: {error.strerror}') from error
        print(f'written: {args.output}')
    if failed:
        raise SeMmError('; '.join(failed))
