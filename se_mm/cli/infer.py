"""Predict on pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import SeMmError
from .arguments import add_data_arguments, add_model_argument, config_of, model_named

EXAMPLES = """\
  %(prog)s work_dirs/CONFIG/last image.jpg folder/ --out seen/
  %(prog)s MODEL.onnx image.jpg folder/ --out seen/
  %(prog)s timm://legacy_seresnet50.in1k image.jpg --out seen/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_argument(parser, '; then picture files, or folders of them')
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        help='a folder for pictures and predictions.json; or NAME.json for the predictions alone',
    )
    parser.add_argument('--score', type=float, default=0.3, help='boxes below this score are not drawn (default: 0.3)')
    add_data_arguments(parser)
    parser.add_argument('--device', help='as cuda:1 (default: the GPU, or the CPU)')
    parser.add_argument('--deploy', action='store_true', help='fold the norms of the SE backbone first')


def run(args: argparse.Namespace) -> None:
    from ..apis.infer import find_images, infer
    from ..export.runtimes import is_exported

    if not 0 <= args.score <= 1:
        raise SeMmError(f'--score is {args.score}; expected a number from 0 to 1')
    words = model_named(args, rest=True)
    if not words:
        raise SeMmError(f'no images are named after {" ".join(args.model)}; expected CHECKPOINT IMAGE ...')
    cfg, model, images = None, args.checkpoint, find_images(words)
    if not is_exported(model):
        cfg = config_of(args, model)
    elif args.deploy:
        raise SeMmError(f'--deploy is for checkpoints, and {model} is an exported file')
    done = infer(cfg, model, images, args.out, args.score, args.deploy, args.device)
    where = f'{done.pictures}, predictions: {done.file}' if done.pictures else f'predictions: {done.file}'
    print(f'{len(images) - len(done.skipped)} pictures: {where}')
    if done.skipped:
        print(f'{len(done.skipped)} of {len(images)} images were skipped: {"; ".join(done.skipped)}', file=sys.stderr)
        sys.exit(1)
