_base_ = './resnext50_32x4d_imagenet.py'
model = dict(backbone=dict(type='se_mm.SEResNeXt'))
