_base_ = './resnet18_scenes.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
