_base_ = './resnet101_imagenet.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
