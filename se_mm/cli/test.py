"""Evaluate a trained model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import SeMmError
from .arguments import add_config_arguments, config_of, set_local_rank

if TYPE_CHECKING:
    from mmengine.config import Config

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
    from ..apis.distributed import join_processes
    from ..apis.evaluation import deploy, load_weights, use_test_time_augmentation
    from ..apis.exported import use_exported
    from ..apis.runner import build_runner, test
    from ..config.classes import use_classes
    from ..config.pretrained import local_checkpoint
    from ..datasets.validation import preflight
    from ..engine import switches
    from ..evaluation.outputs import add_outputs
    from ..export.runtimes import is_exported, open_exported
    from ..visualization.backends import add_log_backends
    from .console import show_progress

    set_local_rank(args)
    if is_exported(args.config):
        args.config, args.checkpoint = args.checkpoint, args.config
    exported = open_exported(args.checkpoint) if is_exported(args.checkpoint) else None
    if exported and (args.tta or args.deploy or args.launcher != 'none'):
        raise SeMmError(f'{args.checkpoint} is an exported file: --tta, --deploy and --launcher are for checkpoints')
    if exported is None:
        args.checkpoint = local_checkpoint(args.checkpoint)
    cfg = config_of(args, None if exported else args.checkpoint)
    if exported and args.classes is None:
        use_classes(cfg, exported.description.classes, args.checkpoint)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.work_dir
    cfg.load_from, cfg.resume = None, False
    join_processes(cfg)
    preflight.check(cfg, ('test',))
    add_outputs(cfg, args.out, args.sheet, args.confusion)
    if args.tta:
        use_test_time_augmentation(cfg)
    add_log_backends(cfg, args.log)

    def prepare(prepared: Config) -> None:
        switches.guard_data(prepared)
        show_progress(prepared)

    runner = build_runner(cfg, prepare)
    if exported:
        use_exported(runner, exported)
    else:
        load_weights(runner, args.checkpoint)
    if args.deploy:
        deploy(runner.model)
    test(runner)
