#!/usr/bin/env python
"""Draw the demo's detection set."""

from se_mm.cli import main

if __name__ == '__main__':
    main('draw_shapes')
