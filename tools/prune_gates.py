#!/usr/bin/env python
"""Freeze the gates that cost next to nothing, and write the smaller network."""

from se_mm.cli import main

if __name__ == '__main__':
    main('prune_gates')
