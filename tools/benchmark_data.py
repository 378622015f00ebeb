#!/usr/bin/env python
"""Measure the reading of a list of millions and the decoding of pictures: tools/benchmark_data.py --images DIR"""

import argparse
from pathlib import Path

from se_mm import cli
from se_mm.datasets import benchmark


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--lines', type=int, default=8_000_000, help='of the generated list (default: 8 million)')
    parser.add_argument('--images', type=Path, help='a folder of JPEGs to decode, with its subfolders')
    args = parser.parse_args()
    print(benchmark.measure_list(args.lines))
    if args.images:
        print('one process, JPEG of 256 x 256:')
        for line in benchmark.measure_decoders(args.images):
            print(line)


if __name__ == '__main__':
    cli.run(main)
