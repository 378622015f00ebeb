_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', './_base_/se_mm.py']
# timm's weights are of ReLU6, where no weights undo a constant gate: SE is blended in from nothing.
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='se_mm.SETwin',
        host='timm.mobilenetv1_100',
        attention=dict(type='se_mm.SELayer', start='blend'),
        out_indices=(1, 2, 3, 4),
        frozen_stages=0,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='timm://mobilenetv1_100.ra4_e3600_r224_in1k'),
    ),
    neck=dict(in_channels=[128, 256, 512, 1024]),
)
