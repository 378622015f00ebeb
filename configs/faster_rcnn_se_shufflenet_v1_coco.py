_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', './_base_/se_mm.py']
# Its feature maps begin at stride 8; anchors of half the scale are as large as those of the other configs.
model = dict(
    backbone=dict(
        _delete_=True,
        type='se_mm.SETwin',
        host='mmpretrain.ShuffleNetV1',
        groups=3,
        out_indices=(0, 1, 2),
        frozen_stages=0,
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/shufflenet_v1/'
            'shufflenet_v1_batch1024_imagenet_20200804-5d6cec73.pth',
        ),
    ),
    neck=dict(in_channels=[240, 480, 960]),
    rpn_head=dict(anchor_generator=dict(scales=[4], strides=[8, 16, 32, 64, 128])),
    roi_head=dict(bbox_roi_extractor=dict(featmap_strides=[8, 16, 32])),
)
