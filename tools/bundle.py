#!/usr/bin/env python
"""Put all weights of a config into a folder, for a machine without a network."""

from se_mm.cli import main

if __name__ == '__main__':
    main('bundle')
