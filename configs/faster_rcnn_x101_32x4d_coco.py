_base_ = ['mmdet::faster_rcnn/faster-rcnn_x101-32x4d_fpn_1x_coco.py', './_base_/se_mm.py']
# The host of the weights that mmdet names is gone.
model = dict(backbone=dict(init_cfg=dict(checkpoint='timm://resnext101_32x4d.gluon_in1k')))
