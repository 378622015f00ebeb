_base_ = './faster_rcnn_r101_coco.py'
model = dict(backbone=dict(type='se_mm.SEResNet', init_cfg=None))
