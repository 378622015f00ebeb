#!/usr/bin/env python
"""Rename a checkpoint's tensors for another library."""

from se_mm.cli import main

if __name__ == '__main__':
    main('convert_checkpoint')
