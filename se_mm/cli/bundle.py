"""Put all weights of a config into a folder, for a machine without a network."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import CONFIG_HELP, add_data_arguments, config_of

EXAMPLES = """\
  %(prog)s mmdet::retinanet/retinanet_r50_fpn_1x_coco.py --se -o weights/    # then: TORCH_HOME=weights/ se-mm train
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help=CONFIG_HELP)
    parser.add_argument('-o', '--output', type=Path, required=True, metavar='DIR', help='made where it is missing')
    add_data_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from ..config.pretrained import bundle

    print('\n'.join(bundle(config_of(args), args.output)))
