"""Say what is installed, import all of it, and show the true error of what does not import."""

from __future__ import annotations

import argparse
import sys

EXAMPLES = """\
  %(prog)s
  %(prog)s --weights mmdet::retinanet/retinanet_r50_fpn_1x_coco.py
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--weights', metavar='CONFIG', help='say whether the weights that a config names can be had')


def run(args: argparse.Namespace) -> None:
    from ..compat.environment import report
    from ..config import pretrained
    from ..config.load import load_config

    lines, works = pretrained.status(load_config(args.weights)) if args.weights else report()
    print('\n'.join(lines))
    sys.exit(0 if works else 1)
