#!/usr/bin/env python
"""Predict on pictures: tools/infer.py CONFIG CHECKPOINT IMAGES... --out DIR"""

from se_mm.cli import main

if __name__ == '__main__':
    main('infer')
