_base_ = './_base_/imagenet_paper.py'
model = dict(backbone=dict(type='mmdet.ResNeXt', depth=50, groups=32, base_width=4))
