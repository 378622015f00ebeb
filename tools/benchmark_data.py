#!/usr/bin/env python
"""Measure the reading of a list of millions and the decoding of pictures."""

from se_mm.cli import main

if __name__ == '__main__':
    main('benchmark_data')
