_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', './_base_/se_mm.py']
model = dict(
    backbone=dict(
        _delete_=True,
        type='se_mm.SETwin',
        host='mmpretrain.VGG',
        depth=16,
        norm_cfg=dict(type='BN'),
        out_indices=(1, 2, 3, 4),
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://vgg16_bn'),
    ),
    neck=dict(in_channels=[128, 256, 512, 512]),
)
