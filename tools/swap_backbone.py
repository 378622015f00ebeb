#!/usr/bin/env python
"""Write down the SE twin of a config: tools/swap_backbone.py mmdet::retinanet/retinanet_r50_fpn_1x_coco.py -o my.py"""

from se_mm.cli import main

if __name__ == '__main__':
    main('swap_backbone')
