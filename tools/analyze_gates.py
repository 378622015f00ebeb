#!/usr/bin/env python
"""Show what the gates of a trained model do."""

from se_mm.cli import main

if __name__ == '__main__':
    main('analyze_gates')
