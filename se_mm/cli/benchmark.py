"""Time and memory of SE backbones, detectors and attention layers beside their plain twins."""

from __future__ import annotations

import argparse

from ..errors import SeMmError

SIZES = {'training': (2, 480, 800), 'detector-training': (2, 800, 1344)}
SIZE = (1, 800, 1344)

EXAMPLES = """\
  %(prog)s --mode inference --depth 50
  %(prog)s --mode training --attention all
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--mode',
        choices=['inference', 'training', 'detector-inference', 'detector-training'],
        default='inference',
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


def run(args: argparse.Namespace) -> None:
    from ..benchmarks import networks

    if args.rounds < 1:
        raise SeMmError(f'--rounds is {args.rounds}; expected 1 or more')
    if args.size and min(args.size) < 1:
        raise SeMmError(f'--size is {" ".join(map(str, args.size))}; expected a batch, a height and a width above 0')
    if args.attention and args.mode not in ('inference', 'training'):
        raise SeMmError(f'--attention is for --mode inference and training, not {args.mode}')
    setting = networks.Setting(
        args.mode,
        args.depth,
        tuple(args.size or SIZES.get(args.mode, SIZE)),
        device=args.device,
        amp=args.amp,
        train_norms=args.train_norms,
        compiled=args.compile,
        attention=tuple(args.attention),
        runtimes=tuple(args.runtimes),
        resnext=args.resnext,
    )
    measured = networks.measure(setting, args.rounds, args.only, args.rss)
    title = [f'{setting}; {args.rounds} interleaved rounds', networks.machine(args.device)]
    print('\n'.join([*title, '', *networks.table(measured)]))
