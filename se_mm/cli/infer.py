"""Predict on pictures: tools/infer.py CONFIG CHECKPOINT IMAGES... --out DIR"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..utils.paths import existing_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='the config that the checkpoint was trained with')
    parser.add_argument('checkpoint', help='a checkpoint that tools/train.py wrote')
    parser.add_argument('images', nargs='+', help='picture files, or folders of them')
    parser.add_argument('--out', type=Path, required=True, help='where pictures and predictions.json go')
    parser.add_argument('--score', type=float, default=0.3, help='boxes below this score are not drawn (default: 0.3)')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='as they were given to tools/train.py')
    parser.add_argument('--deploy', action='store_true', help='fold the norms of the SE backbone first')
    parser.add_argument('--se', action='store_true', help='as it was given to tools/train.py')


def run(args: argparse.Namespace) -> None:
    from ..apis.inference import find_images, infer
    from ..config.load import load_config

    existing_file(args.checkpoint, 'checkpoint')
    cfg = load_config(args.config, classes=args.classes, se=args.se)
    images = find_images(args.images)
    file = infer(cfg, args.checkpoint, images, args.out, args.score, args.deploy)
    print(f'{len(images)} pictures: {args.out / "vis"}, predictions: {file}')
