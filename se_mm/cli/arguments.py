"""The arguments that several tools share."""

from __future__ import annotations

import argparse
import os

from mmengine.config import DictAction


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of :func:`se_mm.config.load.load_config`, and the launcher's."""
    parser.add_argument('config', help='a config file, or package::path of one that a package ships')
    parser.add_argument('--work-dir', help='where logs and checkpoints go (default: work_dirs/<config>)')
    parser.add_argument(
        '--data-root', help="replaces the config's data_root; so does the environment variable SE_MM_DATA"
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='key=value pairs that override the config, dotted keys'
    )
    parser.add_argument(
        '--classes',
        nargs='*',
        metavar='NAME',
        help="replaces the config's classes, in the data sets and the heads; without names: the folders of train/",
    )
    parser.add_argument(
        '--se', action='store_true', help="use the SE twin of the config's backbone (see tools/swap_backbone.py)"
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def set_local_rank(args: argparse.Namespace) -> None:
    """Hands on the rank from launchers that pass it as an argument rather than in the environment."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
