#!/usr/bin/env python
"""Count parameters and multiply-adds of models, or of the paper's networks beside its figures."""

from se_mm.cli import main

if __name__ == '__main__':
    main('complexity')
