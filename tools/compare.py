#!/usr/bin/env python
"""Compare configs over several seeds: trainings, table, curves and what they tell."""

from se_mm.cli import main

if __name__ == '__main__':
    main('compare')
