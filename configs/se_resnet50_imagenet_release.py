_base_ = './resnet50_imagenet_release.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
