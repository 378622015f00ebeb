_base_ = './faster_rcnn_x101_32x4d_coco.py'
model = dict(
    backbone=dict(
        type='se_mm.SEResNeXt',
        stem_pool='caffe',
        init_cfg=dict(type='Pretrained', checkpoint='timm://legacy_seresnext101_32x4d.in1k'),
    )
)
