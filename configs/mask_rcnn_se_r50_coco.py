_base_ = ['mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', './_base_/se_mm.py']
model = dict(backbone=dict(type='se_mm.SEResNet', init_cfg=None))
