_base_ = './faster_rcnn_r50_a1_coco.py'
model = dict(backbone=dict(type='se_mm.SEResNet', init_cfg=dict(checkpoint='timm://seresnet50.a1_in1k')))
