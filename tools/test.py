#!/usr/bin/env python
"""Evaluate a trained model."""

from se_mm.cli import main

if __name__ == '__main__':
    main('test')
