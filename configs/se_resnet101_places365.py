_base_ = './resnet101_places365.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
