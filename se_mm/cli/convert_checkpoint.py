"""Rename a checkpoint's tensors for another library."""

from __future__ import annotations

import argparse
from pathlib import Path

EXAMPLES = """\
  %(prog)s epoch_12.pth seresnet50.safetensors --to timm
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', type=Path, metavar='IN', help='a checkpoint of any family that se_mm loads')
    parser.add_argument('target', type=Path, metavar='OUT', help='the file to write: .pth or .safetensors')
    parser.add_argument('--to', choices=['timm', 'mmpretrain', 'mmdet', 'se_mm'], required=True)


def run(args: argparse.Namespace) -> None:
    from ..weights.conversion import convert

    print(convert(args.source, args.target, args.to))
