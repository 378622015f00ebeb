_base_ = './faster_rcnn_r50_4x2_coco.py'
model = dict(backbone=dict(type='se_mm.SEResNet', init_cfg=dict(checkpoint='mmcls://se-resnet50')))
