#!/usr/bin/env python
"""Train a detector or a classifier."""

from se_mm.cli import main

if __name__ == '__main__':
    main('train')
