"""Show what the gates of a trained model do: table, figures, removal study."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_study_arguments, config_of, model_named

EXAMPLES = """\
  %(prog)s work_dirs/CONFIG/last --out gates/
  %(prog)s CHECKPOINT --classes goldfish pug plane cliff --per-class 50 --removal --out gates/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study_arguments(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='a folder for the report and its parts')
    parser.add_argument('--classes', nargs='+', metavar='NAME', dest='drawn', help='that are drawn (up to four)')
    parser.add_argument('--per-class', type=int, default=50, metavar='N', help='pictures of each class (50)')
    parser.add_argument('--channels', type=int, default=50, metavar='N', help='channels of a block that are drawn (50)')
    parser.add_argument('--removal', action='store_true', help='measure the metric without each gate, too')


def run(args: argparse.Namespace) -> None:
    from ..apis.analyze_gates import analyze_gates

    model_named(args)
    analyze_gates(
        config_of(args, args.checkpoint),
        args.checkpoint,
        args.out,
        classes=args.drawn,
        per_class=args.per_class,
        channels=args.channels,
        seed=args.seed,
        removal=args.removal,
        metric=args.metric,
        calibration=args.calibration,
    )
