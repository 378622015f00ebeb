"""Evaluate a trained model."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import SeMmError
from .arguments import add_config_arguments, add_model_argument, config_of, is_verbose, model_named

EXAMPLES = """\
  %(prog)s work_dirs/CONFIG/last --out results.json --sheet predictions.png
  %(prog)s CONFIG CHECKPOINT --data-root DIR
  %(prog)s MODEL.onnx CHECKPOINT
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_argument(parser)
    add_config_arguments(parser)
    parser.add_argument('--out', metavar='FILE', help='keep the predictions: .pkl, or .json (COCO results, classes)')
    parser.add_argument('--sheet', metavar='PNG', help='one picture of predictions beside the ground truth')
    parser.add_argument('--confusion', metavar='PNG', help="a classifier's confusion matrix and its 20 worst pairs")
    parser.add_argument(
        '--tta', action='store_true', help="the config's test-time augmentation (ten crops on Places365)"
    )
    parser.add_argument('--deploy', action='store_true', help='fold the norms of the SE backbone first')


def run(args: argparse.Namespace) -> None:
    from ..apis.test import test
    from ..config.classes import use_classes
    from ..engine.resume import LAST
    from ..export.runtimes import ExportedFile, is_exported

    rest = model_named(args, rest=True)
    model = args.checkpoint
    if is_exported(model):
        args.config = args.config or next(iter(rest), None)
        if not args.config:
            raise SeMmError(f'{model} says nothing of data to test it on: name a config or a checkpoint after it')
        model = ExportedFile(model)
        cfg = config_of(args)
        use_classes(cfg, model.description.classes, args.checkpoint, args.classes is not None)
    else:
        cfg = config_of(args, model)
    if not args.work_dir:
        training = Path(args.checkpoint).parent
        cfg.work_dir = str(Path(training if (training / LAST).is_file() else cfg.work_dir, 'test'))
    outputs = dict(out=args.out, sheet=args.sheet, confusion=args.confusion)
    test(cfg, model, **outputs, tta=args.tta, deployed=args.deploy, log=args.log, progress=not is_verbose())
