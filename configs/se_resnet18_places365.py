_base_ = './resnet18_places365.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
