_base_ = ['mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', './_base_/se_mm.py']
model = dict(
    backbone=dict(
        type='se_mm.SEResNet',
        style='caffe',
        stem_pool='caffe',
        init_cfg=dict(type='Pretrained', checkpoint='timm://legacy_seresnet50.in1k'),
    )
)
