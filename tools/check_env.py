#!/usr/bin/env python
"""Say what is installed, import all of it, and show the true error of what does not import."""

import argparse
import sys

from se_mm import cli
from se_mm.environment import report


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    lines, works = report()
    print('\n'.join(lines))
    sys.exit(0 if works else 1)


if __name__ == '__main__':
    cli.run(main)
