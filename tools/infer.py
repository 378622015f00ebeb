#!/usr/bin/env python
"""Predict on pictures."""

from se_mm.cli import main

if __name__ == '__main__':
    main('infer')
