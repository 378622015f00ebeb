#!/usr/bin/env python
"""Time and memory of SE backbones and their plain twins; how a training scales."""

from se_mm.cli import main

if __name__ == '__main__':
    main('benchmark')
