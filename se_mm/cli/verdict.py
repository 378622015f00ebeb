"""Hold finished trainings against the published figures.

COCO (the paper's 2x schedule, mmdet's 1x as in ECA-Net's paper) and Places365. Which protocol a training is of, and
what differs from the published set-up, is read from the config that it left in its work_dir.
"""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
  %(prog)s work_dirs/faster_rcnn_r50_coco work_dirs/faster_rcnn_se_r50_coco
  %(prog)s work_dirs/compare/faster_rcnn_r50_a1_coco/seed_* work_dirs/compare/faster_rcnn_se_r50_a1_coco/seed_*
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'work_dirs', nargs='+', type=Path, metavar='WORK_DIR', help='plain and SE, of as many seeds as there are'
    )


def run(args: argparse.Namespace) -> None:
    from ..analysis.runs import read_run
    from ..analysis.verdict import judge, report

    print(report(*judge([read_run(work_dir) for work_dir in args.work_dirs])))
