"""Time and memory of SE backbones, their plain twins and attention layers; how a training scales."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from ..errors import SeMmError
from ..utils.paths import make_folder

SIZES = {'training': (2, 480, 800), 'detector-training': (2, 800, 1344)}
SIZE = (1, 800, 1344)

EXAMPLES = """\
  %(prog)s --mode inference --depth 50
  %(prog)s --scaling CONFIG --processes 1 2 8
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--mode',
        choices=['inference', 'training', 'detector-inference', 'detector-training', 'tail'],
        default='inference',
        help='tail: memory bandwidth of the SE tail alone',
    )
    parser.add_argument('--depth', type=int, choices=[18, 34, 50, 101, 152], default=50)
    parser.add_argument('--resnext', action='store_true', help='ResNeXt 32x4d in place of ResNet')
    parser.add_argument(
        '--size', type=int, nargs=3, metavar=('N', 'H', 'W'), help='default: 1 800 1344; training: 2 480 800'
    )
    parser.add_argument('--rounds', type=int, default=7, help='medians and minima are of so many (default: 7)')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--amp', action='store_true', help='under autocast')
    parser.add_argument('--compile', action='store_true', help='the deployed forms also through torch.compile')
    parser.add_argument(
        '--runtimes',
        nargs='+',
        choices=['onnxruntime', 'openvino'],
        default=(),
        help="the backbones also in these, on the CPU (pip install '.[export]')",
    )
    parser.add_argument('--train-norms', action='store_true', help='BatchNorm in training mode, nothing frozen')
    parser.add_argument('--rss', action='store_true', help='also the peak of resident memory, each in a fresh process')
    parser.add_argument('--only', default='', metavar='NAME', help='only the networks with this in their name')
    parser.add_argument(
        '--attention',
        nargs='+',
        default=(),
        metavar='LAYER',
        help="attention layers in our ResNet: 'all', or some as tools/train.py --attention takes them",
    )
    parser.add_argument('--relative-to', metavar='NAME', help="ratios to this network (default: mmdet's)")
    parser.add_argument('--json', type=Path, metavar='FILE', help='every round of every network')
    parser.add_argument('--chart', type=Path, metavar='PNG', help='the medians as bars')
    parser.add_argument('--scaling', metavar='CONFIG', help='images a second of its training by several processes')
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2], help='with --scaling (default: 1 2)')
    parser.add_argument('--data-root', help='with --scaling: the data of the config')


def run(args: argparse.Namespace) -> None:
    import torch

    from ..benchmarks import networks, tail_bandwidth
    from ..benchmarks.attention import costs
    from ..visualization.benchmarks import draw_benchmark

    _check(args)
    if args.scaling:
        _run_scaling(args)
        return
    size = tuple(args.size or SIZES.get(args.mode, SIZE))
    if args.mode == 'tail':
        dtype = torch.float16 if args.amp else torch.float32
        lines = tail_bandwidth.measure_tail(size, args.rounds, args.device, dtype, args.compile)
        print('\n'.join([networks.machine(args.device), '', *lines]))
        return
    forms = ('default', 'deployed', 'compiled') if args.compile else ('default', 'deployed')
    setting = networks.Setting(
        args.mode,
        args.depth,
        size,
        device=args.device,
        amp=args.amp,
        train_norms=args.train_norms,
        forms=forms,
        attention=tuple(args.attention),
        runtimes=tuple(args.runtimes),
        resnext=args.resnext,
    )
    names = [candidate.name for candidate in setting.candidates() if args.only in candidate.name]
    if args.relative_to and names and not any(name.endswith(args.relative_to) for name in names):
        raise SeMmError(f'--relative-to {args.relative_to}: no network ends so; expected one of {", ".join(names)}')
    measured = networks.measure(setting, args.rounds, args.only, args.rss)
    where = networks.machine(args.device)
    lines = networks.table(measured, args.relative_to or networks.MMDET)
    if args.attention:
        lines += ['', *costs(setting.candidates())]
    print('\n'.join([f'{setting}; {args.rounds} interleaved rounds', where, '', *lines]))
    if args.json:
        entries = [{**asdict(entry), 'median': entry.median} for entry in measured]
        args.json.write_text(json.dumps({'mode': str(setting), 'machine': where, 'networks': entries}, indent=1))
    if args.chart:
        draw_benchmark(measured, f'{setting}\n{where}', args.chart)


def _check(args: argparse.Namespace) -> None:
    """Refuses what would fail after the measurement, or not be measured."""
    if args.rounds < 1:
        raise SeMmError(f'--rounds is {args.rounds}; expected 1 or more')
    if args.size and min(args.size) < 1:
        raise SeMmError(f'--size is {" ".join(map(str, args.size))}; expected a batch, a height and a width above 0')
    if args.attention and args.mode not in ('inference', 'training'):
        raise SeMmError(f'--attention is for --mode inference and training, not {args.mode}')
    for name, file in (('--json', args.json), ('--chart', args.chart)):
        if file:
            make_folder(file.parent, f'{name} {file}')
        if file and file.is_dir():
            raise SeMmError(f'{name} {file} is a folder; expected a file')


def _run_scaling(args: argparse.Namespace) -> None:
    import torch

    from ..benchmarks import networks, scaling
    from ..config.load import load_config
    from ..datasets.validation import preflight

    cfg = load_config(args.scaling, data_root=args.data_root)
    preflight.check(cfg, ('train',))
    found = scaling.measure_scaling(cfg, args.processes)
    where = networks.machine('cuda' if torch.cuda.is_available() else 'cpu')
    print('\n'.join([f'{args.scaling}, batch {found[0].batch} a process', where, '', *scaling.table(found)]))
