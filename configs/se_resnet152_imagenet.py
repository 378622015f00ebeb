_base_ = './resnet152_imagenet.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
