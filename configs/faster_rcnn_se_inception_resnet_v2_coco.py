_base_ = './faster_rcnn_se_inception_v3_coco.py'
model = dict(
    backbone=dict(
        host='timm.inception_resnet_v2',
        init_cfg=dict(checkpoint='timm://inception_resnet_v2.tf_in1k'),
    ),
    neck=dict(in_channels=[192, 320, 1088, 1536]),
)
