#!/usr/bin/env python
"""Say what is installed, import all of it, and show the true error of what does not import."""

import argparse
import sys

from se_mm import cli
from se_mm.config import load_config
from se_mm.environment import report
from se_mm.weights import in_configs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--weights', metavar='CONFIG', help='say whether the weights that a config names can be had')
    args = parser.parse_args()
    lines, works = in_configs.status(load_config(args.weights)) if args.weights else report()
    print('\n'.join(lines))
    sys.exit(0 if works else 1)


if __name__ == '__main__':
    cli.run(main)
