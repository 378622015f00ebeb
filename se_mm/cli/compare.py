"""Compare configs over several seeds: trainings, table, curves and a verdict.

Each config is trained with each seed (trainings that are finished are taken as they are, others go on), evaluated, and
held against the first config, seed by seed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import train
from .arguments import ATTENTION_HELP, CONFIG_HELP, config_of

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..analysis.comparison import Network
    from ..analysis.trainings import Training

EXAMPLES = """\
  %(prog)s configs/demo/resnet18_scenes.py configs/demo/se_resnet18_scenes.py --data-root DIR --seeds 3
  %(prog)s mmdet::retinanet/retinanet_r50_fpn_1x_coco.py --se --data-root DIR --classes --jobs 8
  %(prog)s PLAIN_FOLDER SE_FOLDER --only-report --metric bbox_mAP_50
"""

#: Options of tools/train.py that are handed on; those of data to tools/test.py too.
_DATA = ('data_root', 'classes', 'size', 'workers', 'cfg_options')
_TRAINING = ('batch_size', 'epochs', 'iters', 'amp', 'no_pretrained')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help=f'{CONFIG_HELP}; the others against the first')
    parser.add_argument('--seeds', type=int, default=3, metavar='N', help='0 to N-1 (default: 3)')
    parser.add_argument('--metric', help='as bbox_mAP_50 or top5 (default: bbox_mAP or top1)')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/compare; has CONFIG/seed_N and the report')
    parser.add_argument('--jobs', type=int, default=1, metavar='N', help='trainings at a time, a GPU each (default: 1)')
    parser.add_argument('--only-report', action='store_true', help='train nothing; CONFIG may be a folder of work_dirs')
    parser.add_argument('--se', action='store_true', help='one config: against its SE twin')
    parser.add_argument('--attention', metavar='LAYER', help=f'one config: against its twin with {ATTENTION_HELP}')
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
    handed.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE')


def run(args: argparse.Namespace) -> None:
    from ..analysis.comparison import as_json, as_markdown, compare
    from ..errors import SeMmError
    from ..utils.atomic import write_atomic
    from ..visualization.comparison import draw_comparison

    if args.seeds < 1 or args.jobs < 1:
        raise SeMmError(f'--seeds {args.seeds} and --jobs {args.jobs}: expected 1 or more of both')
    work_dir = args.work_dir or Path('work_dirs/compare')
    arms = _arms(args)
    if not args.only_report:
        _train(arms, args, work_dir)
    comparison = compare(_networks(arms, args, work_dir), args.metric)
    first, *others = (network.name for network in comparison.networks)
    text = as_markdown(comparison, f'{", ".join(others)} against {first}')
    work_dir.mkdir(parents=True, exist_ok=True)
    write_atomic(work_dir / 'comparison.md', text)
    write_atomic(work_dir / 'comparison.json', json.dumps(as_json(comparison), indent=1))
    draw_comparison(comparison, work_dir / 'comparison.png')
    print(f'\n{text}\n{work_dir}/comparison.md, .json, .png')


def _arms(args: argparse.Namespace) -> dict[str, list[str]]:
    """What tools/train.py is called with for each network, by the names of their folders."""
    from ..errors import SeMmError

    arms = {(Path(config).stem if config.endswith('.py') else Path(config).name): [config] for config in args.configs}
    if len(arms) < len(args.configs):
        raise SeMmError(f'two configs have one name: {", ".join(args.configs)}')
    if args.se or args.attention:
        if len(arms) > 1:
            raise SeMmError(f'--se and --attention are for one config and its twin; {len(arms)} are named')
        (name, (config,)), layer = next(iter(arms.items())), args.attention
        if layer:
            arms[f'{name}_{layer.partition(",")[0]}'] = [config, '--attention', layer]
        else:
            arms[f'{name}_se'] = [config, '--se']
    if len(arms) < 2:
        raise SeMmError('one config has nothing to be compared with: name two, or add --se')
    return arms


def _handed_on(args: argparse.Namespace, names: Sequence[str]) -> list[str]:
    given = []
    for name in names:
        value = getattr(args, name)
        if value is not None and value is not False:
            values = value if isinstance(value, list) else [] if value is True else [value]
            given += [f'--{name.replace("_", "-")}', *values]
    return given


def _train(arms: dict[str, list[str]], args: argparse.Namespace, work_dir: Path) -> None:
    import torch

    from ..analysis.trainings import Training, run_all, state_of

    data, training = _handed_on(args, _DATA), _handed_on(args, _TRAINING)
    trainings = [
        Training(name, seed, work_dir / name / f'seed_{seed}', (*own, *training, *data), (*own, *data))
        for seed in range(args.seeds)  # the pairs of the first seed come first
        for name, own in arms.items()
    ]
    states = [state_of(one, _config(one)) for one in trainings]
    gpus = torch.cuda.device_count()
    run_all(trainings, states, args.jobs, gpus, lambda line: print(line, flush=True))


def _config(training: Training) -> Config:
    """The config that a training will have: as tools/train.py reads it."""
    from ..analysis.trainings import SEED_VARIABLE
    from ..engine import switches
    from ..errors import SeMmError

    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    parsed = parser.parse_args(training.arguments)
    before = os.environ.get(SEED_VARIABLE)
    os.environ[SEED_VARIABLE] = str(training.seed)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it says there what it found
            cfg = config_of(parsed)
            switches.apply_training_switches(cfg, parsed)
        if not (cfg.get('val_dataloader') and cfg.get('val_cfg') is not None):
            raise SeMmError(
                f'{training.name} has no validation, by which networks are compared: its config needs val_dataloader, '
                'val_evaluator and val_cfg'
            )
    finally:
        os.environ.pop(SEED_VARIABLE)
        if before is not None:
            os.environ[SEED_VARIABLE] = before
    return cfg


def _networks(arms: dict[str, list[str]], args: argparse.Namespace, work_dir: Path) -> list[Network]:
    from ..analysis.comparison import Network
    from ..analysis.runs import runs_in
    from ..errors import SeMmError

    networks = []
    for name, (config, *_) in arms.items():
        given = Path(config)
        folder = given if args.only_report and given.is_dir() else work_dir / name
        if not folder.is_dir():
            raise SeMmError(f'{folder} is not there: expected the trainings of {name}, in a folder for each seed')
        runs, left_out = runs_in(folder)
        if not args.only_report:
            runs = {seed: run for seed, run in runs.items() if seed < args.seeds}
        if not runs:
            said = '; '.join(left_out) or 'expected a folder for each seed, as seed_0'
            raise SeMmError(f'{folder} holds no finished training: {said}')
        networks.append(Network(name, runs, left_out))
    return networks
