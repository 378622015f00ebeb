_base_ = ['mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', './_base_/se_mm.py']
model = dict(backbone=dict(type='se_mm.SEResNet', init_cfg=None))
