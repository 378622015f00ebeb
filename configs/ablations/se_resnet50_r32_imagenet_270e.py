_base_ = './se_resnet50_imagenet_270e.py'
model = dict(backbone=dict(attention=dict(reduction=32)))
