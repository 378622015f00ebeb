#!/usr/bin/env python
"""Rename a checkpoint's tensors for another library: tools/convert_checkpoint.py IN OUT --to timm"""

from se_mm.cli import main

if __name__ == '__main__':
    main('convert_checkpoint')
