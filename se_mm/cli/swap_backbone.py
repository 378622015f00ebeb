"""Write down the SE twin of a config."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import ATTENTION_HELP, REPLACE_HELP

EXAMPLES = """\
  %(prog)s mmdet::retinanet/retinanet_r50_fpn_1x_coco.py -o my_config.py --reduction 8
  %(prog)s mmdet::retinanet/retinanet_r50_fpn_1x_coco.py -o my_config.py --attention cbam,reduction=8
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='a config file, or package::path of one that a package ships')
    parser.add_argument('-o', '--output', type=Path, required=True, help='the config to write')
    parser.add_argument('--force', action='store_true', help='write over a file that is there')
    parser.add_argument('--attention', metavar='LAYER', help=ATTENTION_HELP)
    parser.add_argument('--replace-native', action='store_true', help=REPLACE_HELP)
    parser.add_argument('--reduction', type=int, nargs='+', default=[16], help='r: one, or one for each stage')
    parser.add_argument('--se-stages', type=int, nargs='+', metavar='STAGE', help='stages with SE, from 0 (all)')
    parser.add_argument('--no-se-bias', action='store_true', help='no biases in the layers of the excitation')
    parser.add_argument('--se-init', choices=['default', 'identity'], help='identity: start equal to the plain network')
    parser.add_argument(
        '--weights', help="the checkpoint to start from; 'none': random weights; 'keep': the plain ones"
    )


def run(args: argparse.Namespace) -> None:
    from ..apis.swap import swap

    lines = swap(
        args.config,
        args.output,
        overwrite=args.force,
        attention=args.attention,
        replace_native=args.replace_native,
        reduction=args.reduction[0] if len(args.reduction) == 1 else tuple(args.reduction),
        se_stages=args.se_stages and tuple(args.se_stages),
        se_bias=not args.no_se_bias,
        se_init=args.se_init,
        weights=args.weights,
    )
    print('\n'.join(lines))
