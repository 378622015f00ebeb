_base_ = './faster_rcnn_r101_coco_2x.py'
model = dict(backbone=dict(type='se_mm.SEResNet', init_cfg=None))
