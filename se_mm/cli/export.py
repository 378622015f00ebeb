"""Export a trained model to ONNX, OpenVINO or torch.export; only a file that agrees with PyTorch is kept."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_data_arguments, add_model_argument, config_of, model_named

EXAMPLES = """\
  %(prog)s work_dirs/CONFIG/last -o exported/
  %(prog)s CHECKPOINT --to openvino --int8 --calibrate DIR/train -o exported/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_argument(parser)
    parser.add_argument('-o', '--out', type=Path, required=True, help='a folder; the file is called as the config')
    parser.add_argument('--to', choices=['onnx', 'openvino', 'torch'], default='onnx', help='default: onnx')
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument('--fp16', action='store_true', help='compute in float16, the boxes in float32')
    precision.add_argument('--int8', action='store_true', help='quantise the convolutions; gates stay in float32')
    parser.add_argument('--calibrate', nargs='+', metavar='DIR', help='with --int8: training pictures, for the ranges')
    parser.add_argument('--quantize-gates', action='store_true', help='with --int8: the attention layers too')
    parser.add_argument(
        '--dynamic',
        metavar='AXES',
        default='batch,size',
        help='what is free of the input: batch, size, batch,size (default) or none',
    )
    parser.add_argument('--images', nargs='+', metavar='FILE', help='compare on these pictures (default: 4 test ones)')
    parser.add_argument('--validate', action='store_true', help='compare the metric on the test set too')
    add_data_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from ..apis.export import Options, export
    from ..apis.infer import find_images

    model_named(args)
    args.launcher = 'none'  # the data are read, as in a test
    cfg = config_of(args, args.checkpoint)
    axes = () if args.dynamic == 'none' else tuple(args.dynamic.split(','))
    options = Options(
        target=args.to,
        precision='fp16' if args.fp16 else 'int8' if args.int8 else 'fp32',
        dynamic=axes,
        images=find_images(args.images) if args.images else (),
        validate=args.validate,
        calibration=find_images(args.calibrate) if args.calibrate else (),
        keep_gates=not args.quantize_gates,
    )
    file, report = export(cfg, args.checkpoint, args.out, options)
    print('\n'.join(['compared with PyTorch:', *(f'  {line}' for line in report), f'kept: {file}']))
