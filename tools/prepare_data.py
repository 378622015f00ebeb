#!/usr/bin/env python
"""Say what of a data set is there, fetch what is not, check its pictures: tools/prepare_data.py places365 ROOT"""

from se_mm.cli import main

if __name__ == '__main__':
    main('prepare_data')
