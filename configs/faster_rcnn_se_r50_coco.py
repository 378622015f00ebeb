_base_ = './faster_rcnn_r50_coco.py'
model = dict(backbone=dict(type='se_mm.SEResNet', init_cfg=None))
