#!/usr/bin/env python
"""Say what is installed, import all of it, and show the true error of what does not import."""

from se_mm.cli import main

if __name__ == '__main__':
    main('check_env')
