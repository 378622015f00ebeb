#!/usr/bin/env python
"""Train a detector or a classifier: tools/train.py configs/faster_rcnn_se_r50_coco.py"""

from se_mm.cli import main

if __name__ == '__main__':
    main('train')
