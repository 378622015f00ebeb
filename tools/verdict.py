#!/usr/bin/env python
"""Hold finished trainings against the published figures."""

from se_mm.cli import main

if __name__ == '__main__':
    main('verdict')
