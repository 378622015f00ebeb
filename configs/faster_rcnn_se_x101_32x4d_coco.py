_base_ = './faster_rcnn_x101_32x4d_coco.py'
model = dict(backbone=dict(type='se_mm.SEResNeXt', init_cfg=None))
