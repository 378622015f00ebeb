_base_ = './faster_rcnn_r50_coco_2x.py'
model = dict(
    backbone=dict(
        type='se_mm.SEResNet',
        style='caffe',
        stem_pool='caffe',
        init_cfg=dict(type='Pretrained', checkpoint='timm://legacy_seresnet50.in1k'),
    )
)
