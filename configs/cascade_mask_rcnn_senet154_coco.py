_base_ = ['mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py', './_base_/se_mm.py']
model = dict(
    backbone=dict(
        type='se_mm.SENet',
        depth=154,
        stem_pool='caffe',
        init_cfg=dict(type='Pretrained', checkpoint='timm://legacy_senet154.in1k'),
    )
)
