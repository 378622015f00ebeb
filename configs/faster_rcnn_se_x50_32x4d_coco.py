_base_ = './faster_rcnn_se_x101_32x4d_coco.py'
model = dict(backbone=dict(depth=50))
