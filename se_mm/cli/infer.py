"""Predict on pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import SeMmError
from .arguments import add_checkpoint_arguments, add_data_arguments, config_of

EXAMPLES = """\
  %(prog)s CONFIG work_dirs/CONFIG/epoch_12.pth image.jpg folder/ --out seen/
  %(prog)s MODEL.onnx image.jpg folder/ --out seen/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint_arguments(parser, also='; or an exported file, which needs none')
    parser.add_argument('images', nargs='*', help='picture files, or folders of them')
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        help='a folder for pictures and predictions.json; or NAME.json for the predictions alone',
    )
    parser.add_argument('--score', type=float, default=0.3, help='boxes below this score are not drawn (default: 0.3)')
    add_data_arguments(parser)
    parser.add_argument('--deploy', action='store_true', help='fold the norms of the SE backbone first')


def run(args: argparse.Namespace) -> None:
    from ..apis.infer import find_images, infer
    from ..config.pretrained import local_checkpoint
    from ..export.runtimes import is_exported

    if not 0 <= args.score <= 1:
        raise SeMmError(f'--score is {args.score}; expected a number from 0 to 1')
    cfg, model, named = None, args.config, [args.checkpoint, *args.images]
    if not is_exported(model):
        model, named = local_checkpoint(args.checkpoint), args.images
        cfg = config_of(args, model)
    elif args.deploy:
        raise SeMmError(f'--deploy is for checkpoints, and {model} is an exported file')
    if not named:
        raise SeMmError('no images are named; expected CONFIG CHECKPOINT IMAGE ..., or MODEL.onnx IMAGE ...')
    images = find_images(named)
    done = infer(cfg, model, images, args.out, args.score, args.deploy)
    where = f'{done.pictures}, predictions: {done.file}' if done.pictures else f'predictions: {done.file}'
    print(f'{len(images) - len(done.skipped)} pictures: {where}')
    if done.skipped:
        print(f'{len(done.skipped)} of {len(images)} images were skipped: {"; ".join(done.skipped)}', file=sys.stderr)
        sys.exit(1)
