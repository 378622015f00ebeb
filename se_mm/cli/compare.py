"""Compare configs over several seeds: trainings, table, curves and what they tell.

Each config is trained with each seed (trainings that are finished are taken as they are, others go on) and held against
the first config, seed by seed.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SeMmError
from . import train
from .arguments import ATTENTION_HELP, CONFIG_HELP, REPLACE_HELP, config_of

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..analysis.comparison.trainings import Training

EXAMPLES = """\
  %(prog)s configs/demo/resnet18_scenes.py configs/demo/se_resnet18_scenes.py --data-root DIR --seeds 3
  %(prog)s mmdet::retinanet/retinanet_r50_fpn_1x_coco.py --se --data-root DIR --classes --jobs 8
  %(prog)s PLAIN_FOLDER SE_FOLDER --only-report --metric bbox_mAP_50
"""

#: Options that are handed on to tools/train.py as they are.
_DATA = ('data_root', 'classes', 'size', 'workers', 'cfg_options')
_TRAINING = ('batch_size', 'epochs', 'iters', 'amp', 'no_pretrained', 'lr', 'no_scale_lr')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help=f'{CONFIG_HELP}; the others against the first')
    parser.add_argument('--seeds', type=int, default=3, metavar='N', help='0 to N-1 (default: 3)')
    parser.add_argument('--metric', help='as bbox_mAP_50 or top5 (default: bbox_mAP or top1)')
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/compare'),
        help='has CONFIG/seed_N and the report (default: work_dirs/compare)',
    )
    parser.add_argument('--jobs', type=int, default=1, metavar='N', help='trainings at a time, a GPU each (default: 1)')
    parser.add_argument('--only-report', action='store_true', help='train nothing; CONFIG may be a folder of work_dirs')
    parser.add_argument('--se', action='store_true', help='one config: against its SE twin')
    parser.add_argument('--attention', metavar='LAYER', help=f'one config: against its twin with {ATTENTION_HELP}')
    parser.add_argument('--replace-native', action='store_true', help=REPLACE_HELP)
    parser.add_argument(
        '--keep-weights', action='store_true', help='both start from the plain weights: the attention alone differs'
    )
    handed = parser.add_argument_group('of each training, as in tools/train.py')
    handed.add_argument('--data-root', metavar='DIR')
    handed.add_argument('--classes', nargs='*', metavar='NAME')
    handed.add_argument('--size', nargs=2, metavar=('H', 'W'))
    handed.add_argument('--batch-size', metavar='N')
    handed.add_argument('--workers', metavar='N')
    length = handed.add_mutually_exclusive_group()
    length.add_argument('--epochs', metavar='N')
    length.add_argument('--iters', metavar='N')
    handed.add_argument('--amp', action='store_true')
    handed.add_argument('--no-pretrained', action='store_true')
    handed.add_argument('--lr')
    handed.add_argument('--no-scale-lr', action='store_true')
    handed.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE')


def run(args: argparse.Namespace) -> None:
    from ..apis.compare import compare

    if args.seeds < 1 or args.jobs < 1:
        raise SeMmError(f'--seeds {args.seeds} and --jobs {args.jobs}: expected 1 or more of both')
    arms = _arms(args)
    folders = {name: args.work_dir / name for name in arms}
    if args.only_report:
        folders |= {name: Path(own[0]) for name, own in arms.items() if len(own) == 1 and Path(own[0]).is_dir()}
    else:
        _train(arms, args)
    _, text = compare(folders, args.work_dir, args.metric, None if args.only_report else args.seeds)
    print(f'\n{text}\n{args.work_dir}/comparison.md, .json, .png')


def _arms(args: argparse.Namespace) -> dict[str, list[str]]:
    """What tools/train.py is called with for each network, by the names of their folders."""
    arms = {(Path(config).stem if config.endswith('.py') else Path(config).name): [config] for config in args.configs}
    if len(arms) < len(args.configs):
        raise SeMmError(f'two configs have one name: {", ".join(args.configs)}')
    if args.se or args.attention:
        if len(arms) > 1:
            raise SeMmError(f'--se and --attention are for one config and its twin; {len(arms)} are named')
        (name, (config,)), layer = next(iter(arms.items())), args.attention
        if layer:
            replaced = ['--replace-native'] if args.replace_native else []
            arms[f'{name}_{layer.partition(",")[0]}'] = [config, '--attention', layer, *replaced]
        else:
            arms[f'{name}_se'] = [config, '--se']
        list(arms.values())[-1].extend(['--keep-weights'] * args.keep_weights)
    if len(arms) < 2:
        raise SeMmError('one config has nothing to be compared with: name two, or add --se')
    return arms


def _train(arms: dict[str, list[str]], args: argparse.Namespace) -> None:
    import torch

    from ..analysis.comparison.trainings import Training, run_all, state_of

    options = []
    for name in (*_DATA, *_TRAINING):
        value = getattr(args, name)
        if value is not None and value is not False:
            values = [] if value is True else value if isinstance(value, list) else [value]
            options += [f'--{name.replace("_", "-")}', *values]
    trainings = [
        Training(name, seed, args.work_dir / name / f'seed_{seed}', (*own, *options))
        for seed in range(args.seeds)  # the pairs of the first seed come first
        for name, own in arms.items()
    ]
    states = [state_of(training, _config(training)) for training in trainings]
    run_all(trainings, states, args.jobs, torch.cuda.device_count())


def _config(training: Training) -> Config:
    """The config that a training will have: as tools/train.py reads it."""
    from ..analysis.comparison.trainings import SEED_VARIABLE
    from ..engine import switches

    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    args = parser.parse_args(training.arguments)
    os.environ[SEED_VARIABLE] = str(training.seed)
    logging.disable(logging.INFO)  # the training itself will say what is found
    try:
        cfg = config_of(args)
        switches.apply_training_switches(cfg, **train.switches_of(args))
    finally:
        logging.disable(logging.NOTSET)
        del os.environ[SEED_VARIABLE]
    if not (cfg.get('val_dataloader') and cfg.get('val_cfg') is not None):
        raise SeMmError(
            f'{training.name} has no validation, by which networks are compared: its config needs val_dataloader, '
            'val_evaluator and val_cfg'
        )
    return cfg
