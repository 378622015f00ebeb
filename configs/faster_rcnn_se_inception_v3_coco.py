_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', './_base_/se_mm.py']
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='se_mm.SETwin',
        host='timm.inception_v3',
        same_padding=True,
        out_indices=(1, 2, 3, 4),
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='timm://inception_v3.tv_in1k'),
    ),
    neck=dict(in_channels=[192, 288, 768, 2048]),
)
