"""Train a detector or a classifier."""

from __future__ import annotations

import argparse
from typing import Any

from .arguments import CONFIG_HELP, add_config_arguments, config_of, is_verbose

EXAMPLES = """\
  %(prog)s se_mm::faster_rcnn_se_r50_coco.py --data-root data/coco
  %(prog)s mmdet::retinanet/retinanet_r50_fpn_1x_coco.py --se --data-root DIR --classes --epochs 24
  %(prog)s CONFIG --resume
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help=CONFIG_HELP)
    add_config_arguments(parser)
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--epochs', type=int, metavar='N', help='train so long; the whole schedule is scaled')
    length.add_argument('--iters', type=int, metavar='N', help='the same in iterations')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='auto|FILE',
        help='go on from the latest checkpoint in the work_dir, or from FILE',
    )
    parser.add_argument(
        '--no-pretrained', action='store_true', help='start from random weights, whatever the config names'
    )
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    add_rate_arguments(parser)
    parser.add_argument('--accumulate', type=int, metavar='N', help='one step of the optimizer for N iterations')
    parser.add_argument(
        '--ema',
        type=float,
        nargs='?',
        const=2e-4,
        metavar='MOMENTUM',
        help='average the weights exponentially, and validate and save the average (default: 0.0002)',
    )
    parser.add_argument('--sync-bn', action='store_true', help='norms over the batch of all processes')
    parser.add_argument('--compile', action='store_true', help='torch.compile of the backbones')
    parser.add_argument('--seed', type=int, help='seed of every random number generator')
    parser.add_argument('--deterministic', action='store_true', help='deterministic algorithms only')


def add_rate_arguments(parser: argparse._ActionsContainer) -> None:
    parser.add_argument('--lr', type=float, help='the learning rate, as it is')
    scaling = parser.add_mutually_exclusive_group()
    scaling.add_argument(
        '--auto-scale-lr',
        action='store_true',
        default=None,
        help='scale the learning rate to the pictures of a step, also one that is given; the rate of a config that '
        'names its base_batch_size is scaled anyhow',
    )
    scaling.add_argument(
        '--no-scale-lr', action='store_const', const='never', dest='auto_scale_lr', help='never scale it'
    )


def switches_of(args: argparse.Namespace) -> dict[str, Any]:
    """What :func:`se_mm.apis.train.train` takes; a rate of ``--cfg-options`` is not scaled."""
    from ..engine.switches import SWITCHES

    switches = {name: getattr(args, name) for name in SWITCHES}
    given = [key for key in args.cfg_options or {} if key.startswith('auto_scale_lr') or key.endswith('.lr')]
    return switches | ({'auto_scale_lr': switches['auto_scale_lr'] or False} if given else {})


def run(args: argparse.Namespace) -> None:
    from ..apis.train import train

    train(config_of(args), args.log, not is_verbose(), **switches_of(args))
