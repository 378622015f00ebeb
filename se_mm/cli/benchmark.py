"""Time and memory of SE backbones and their plain twins: tools/benchmark.py --mode inference

How a training scales: tools/benchmark.py --scaling CONFIG --processes 1 2 8
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

SIZES = {'training': (2, 480, 800), 'detector-training': (2, 800, 1344)}
SIZE = (1, 800, 1344)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--mode',
        choices=['inference', 'training', 'detector-inference', 'detector-training', 'tail'],
        default='inference',
        help='tail: memory bandwidth of the SE tail alone',
    )
    parser.add_argument('--depth', type=int, choices=[18, 34, 50, 101, 152], default=50)
    parser.add_argument(
        '--size', type=int, nargs=3, metavar=('N', 'H', 'W'), help='default: 1 800 1344; training: 2 480 800'
    )
    parser.add_argument('--rounds', type=int, default=7, help='the medians are of so many (default: 7)')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--amp', action='store_true', help='under autocast')
    parser.add_argument('--compile', action='store_true', help='the deployed forms also through torch.compile')
    parser.add_argument('--only', default='', metavar='NAME', help='only the networks with this in their name')
    parser.add_argument('--json', type=Path, metavar='FILE', help='every round of every network')
    parser.add_argument('--chart', type=Path, metavar='PNG', help='the medians as bars')
    parser.add_argument('--scaling', metavar='CONFIG', help='images a second of its training by several processes')
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2], help='with --scaling (default: 1 2)')
    parser.add_argument('--data-root', help='with --scaling: the data of the config')


def run(args: argparse.Namespace) -> None:
    import torch

    from ..benchmarks import networks, scaling, tail_bandwidth
    from ..config.load import load_config
    from ..datasets.validation import preflight
    from ..visualization.benchmarks import draw_benchmark

    if args.scaling:
        cfg = load_config(args.scaling, data_root=args.data_root)
        preflight.check(cfg, ('train',))
        found = scaling.measure_scaling(cfg, args.processes)
        where = networks.machine('cuda' if torch.cuda.is_available() else 'cpu')
        print('\n'.join([f'{args.scaling}, batch {found[0].batch} a process', where, '', *scaling.table(found)]))
        return
    size = tuple(args.size or SIZES.get(args.mode, SIZE))
    if args.mode == 'tail':
        dtype = torch.float16 if args.amp else torch.float32
        found = tail_bandwidth.measure_tail(size, args.rounds, args.device, dtype, args.compile)
        copied = tail_bandwidth.copy_bandwidth(args.device, args.rounds)
        print('\n'.join([networks.machine(args.device), '', *tail_bandwidth.table(found, copied)]))
        return
    measured = networks.measure(
        args.mode, args.depth, size, args.rounds, args.device, args.amp, args.compile, args.only
    )
    heading = f'{args.mode}, depth {args.depth}, {size[0]}x3x{size[1]}x{size[2]}{", AMP" if args.amp else ""}'
    where = networks.machine(args.device)
    print('\n'.join([f'{heading}, medians of {args.rounds} interleaved rounds', where, '', *networks.table(measured)]))
    if args.json:
        args.json.write_text(json.dumps(networks.as_json(measured, mode=heading, machine=where), indent=1))
    if args.chart:
        draw_benchmark(measured, f'{heading}\n{where}', args.chart)
