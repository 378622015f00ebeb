_base_ = './resnet152_places365.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
