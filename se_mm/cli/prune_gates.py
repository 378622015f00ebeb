"""Freeze the gates that cost next to nothing, and write the smaller network."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_study_arguments, config_of, model_named

EXAMPLES = """\
  %(prog)s work_dirs/CONFIG/last --budget 0.001 --out pruned/
  %(prog)s CHECKPOINT --stages 3 --out pruned/
  %(prog)s CHECKPOINT --blocks layer4.1 layer4.2 --out pruned/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study_arguments(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='a folder for the network')
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        '--budget',
        type=float,
        metavar='SHARE',
        help='what the metric may lose on the validation set, as a share: 0.001 is 0.1 points of mAP or top-1',
    )
    which.add_argument('--stages', type=int, nargs='+', metavar='STAGE', help='all gates of these stages, from 0')
    which.add_argument('--blocks', nargs='+', metavar='UNIT', help='the gates of these units, as layer4.0')


def run(args: argparse.Namespace) -> None:
    from ..apis.prune_gates import prune_gates

    model_named(args)
    prune_gates(
        config_of(args, args.checkpoint),
        args.checkpoint,
        args.out,
        budget=args.budget,
        stages=args.stages,
        blocks=args.blocks,
        metric=args.metric,
        calibration=args.calibration,
        seed=args.seed,
    )
