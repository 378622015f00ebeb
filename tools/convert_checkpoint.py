#!/usr/bin/env python
"""Rename a checkpoint's tensors for another library: tools/convert_checkpoint.py IN OUT --to timm"""

import argparse
from pathlib import Path

from se_mm import cli
from se_mm.weights.conversion import TARGETS, convert


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', type=Path, metavar='IN', help='a checkpoint of any family that se_mm loads')
    parser.add_argument('target', type=Path, metavar='OUT', help='the file to write: .pth or .safetensors')
    parser.add_argument('--to', choices=TARGETS, required=True)
    args = parser.parse_args()
    print(convert(args.source, args.target, args.to))


if __name__ == '__main__':
    cli.run(main)
