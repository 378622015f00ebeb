#!/usr/bin/env python
"""Evaluate a trained model: tools/test.py CONFIG CHECKPOINT"""

from se_mm.cli import main

if __name__ == '__main__':
    main('test')
