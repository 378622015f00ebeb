#!/usr/bin/env python
"""Write down the SE twin of a config."""

from se_mm.cli import main

if __name__ == '__main__':
    main('swap_backbone')
