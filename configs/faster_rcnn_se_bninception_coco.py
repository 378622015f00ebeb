_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', './_base_/se_mm.py']
# Cadene's weights: convolutions with biases, and BGR pixels that are not divided by a deviation.
model = dict(
    data_preprocessor=dict(mean=[104.0, 117.0, 128.0], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(
        _delete_=True,
        type='se_mm.SETwin',
        host='se_mm.BNInception',
        conv_bias=True,
        out_indices=(1, 2, 3, 4),
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth',
        ),
    ),
    neck=dict(in_channels=[192, 320, 608, 1024]),
)
