#!/usr/bin/env python
"""Prepare a data set: boxes in any usual format, folders of scenes, COCO, Places365."""

from se_mm.cli import main

if __name__ == '__main__':
    main('prepare_data')
