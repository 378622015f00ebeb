"""Evaluate a trained model."""

from __future__ import annotations

import argparse

from .arguments import add_config_arguments, config_of, is_verbose

EXAMPLES = """\
  %(prog)s CONFIG work_dirs/CONFIG/epoch_12.pth --data-root DIR
  %(prog)s CONFIG CHECKPOINT --out results.json --sheet predictions.png
  %(prog)s MODEL.onnx CONFIG
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='a checkpoint that a training wrote, or its URL; or an exported file')
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
    from ..config.pretrained import local_checkpoint
    from ..export.runtimes import ExportedFile, is_exported

    if is_exported(args.config):
        args.config, args.checkpoint = args.checkpoint, args.config
    if is_exported(args.checkpoint):
        model = ExportedFile(args.checkpoint)
        cfg = config_of(args)
        use_classes(cfg, model.description.classes, args.checkpoint, args.classes is not None)
    else:
        model = local_checkpoint(args.checkpoint)
        cfg = config_of(args, model)
    outputs = dict(out=args.out, sheet=args.sheet, confusion=args.confusion)
    test(cfg, model, **outputs, tta=args.tta, deployed=args.deploy, log=args.log, progress=not is_verbose())
