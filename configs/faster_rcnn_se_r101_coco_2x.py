_base_ = './faster_rcnn_r101_coco_2x.py'
model = dict(
    backbone=dict(
        type='se_mm.SEResNet',
        style='caffe',
        stem_pool='caffe',
        init_cfg=dict(type='Pretrained', checkpoint='timm://legacy_seresnet101.in1k'),
    )
)
