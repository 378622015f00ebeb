_base_ = './resnet50_places365.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
