_base_ = './resnet152_places365_challenge.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
