"""Predict on pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..utils.paths import existing_file
from .arguments import CONFIG_HELP, add_data_arguments, config_of

EXAMPLES = """\
  %(prog)s CONFIG work_dirs/CONFIG/epoch_12.pth image.jpg folder/ --out seen/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help=f'that the checkpoint was trained with: {CONFIG_HELP}')
    parser.add_argument('checkpoint', help='a checkpoint that tools/train.py wrote')
    parser.add_argument('images', nargs='+', help='picture files, or folders of them')
    parser.add_argument('--out', type=Path, required=True, help='where pictures and predictions.json go')
    parser.add_argument('--score', type=float, default=0.3, help='boxes below this score are not drawn (default: 0.3)')
    add_data_arguments(parser)
    parser.add_argument('--deploy', action='store_true', help='fold the norms of the SE backbone first')


def run(args: argparse.Namespace) -> None:
    from ..apis.inference import find_images, infer

    existing_file(args.checkpoint, 'checkpoint')
    images = find_images(args.images)
    cfg = config_of(args, args.checkpoint)
    file = infer(cfg, args.checkpoint, images, args.out, args.score, args.deploy)
    print(f'{len(images)} pictures: {args.out / "vis"}, predictions: {file}')
