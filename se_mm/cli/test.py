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
  %(prog)s timm://legacy_seresnet50.in1k --data-root IMAGENET
  %(prog)s timm://senet154.gluon_in1k timm://seresnet152d.ra2_in1k --ensemble --data-root IMAGENET
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_argument(parser)
    add_config_arguments(parser)
    parser.add_argument('--out', metavar='FILE', help='keep the predictions: .pkl, or .json (COCO results, classes)')
    parser.add_argument('--sheet', metavar='PNG', help='one picture of predictions beside the ground truth')
    parser.add_argument('--confusion', metavar='PNG', help="a classifier's confusion matrix and its 20 worst pairs")
    parser.add_argument(
        '--tta',
        nargs='*',
        metavar='VIEWS',
        help="the config's test-time augmentation (for a detector without: three scales and flips); for a classifier "
        'ten-crop, scales=224,256,288, or both',
    )
    parser.add_argument('--ensemble', action='store_true', help='of several classifiers: the mean of their scores')
    parser.add_argument('--test-size', action='store_true', help='the size that timm tests a published classifier with')
    parser.add_argument(
        '--among-folders', action='store_true', help='a published classifier chooses among the classes that are there'
    )
    parser.add_argument('--deploy', action='store_true', help='fold the norms of the SE backbone first')


def run(args: argparse.Namespace) -> None:
    from ..apis.test import ensemble, test
    from ..config.classes import use_classes
    from ..config.pretrained import local_model
    from ..engine.resume import LAST
    from ..export.runtimes import ExportedFile, is_exported
    from ..utils.console import say

    rest = model_named(args, rest=True)
    model = args.checkpoint
    if rest and not (args.ensemble or is_exported(model)):
        raise SeMmError(f'{model} and {", ".join(rest)} are named; expected one model, or several and --ensemble')
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
    members = [(cfg, model)]
    for name in rest if args.ensemble else ():
        args.checkpoint = local_model(name)
        members.append((config_of(args, args.checkpoint), args.checkpoint))
        members[-1][0].work_dir = cfg.work_dir
    outputs = dict(out=args.out, sheet=args.sheet, confusion=args.confusion)
    options = dict(tta=args.tta, deployed=args.deploy, among=args.among_folders, log=args.log)
    options['progress'] = not is_verbose()
    if args.ensemble:
        if args.sheet or args.confusion or Path(args.out or '.pkl').suffix not in ('', '.pkl'):
            raise SeMmError('--sheet, --confusion and an --out that is no .pkl are for one model, not for --ensemble')
        metrics = ensemble(members, args.out, **options)
        say('ensemble: ' + ', '.join(f'{name} {value:.2f}' for name, value in metrics.items()))
    else:
        test(cfg, model, **outputs, **options)
    for line in (member.published for member, _ in members if 'published' in member):
        say(line)
