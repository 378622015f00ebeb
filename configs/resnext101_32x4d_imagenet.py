_base_ = './resnext50_32x4d_imagenet.py'
model = dict(backbone=dict(depth=101))
