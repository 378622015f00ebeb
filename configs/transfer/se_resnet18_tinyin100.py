_base_ = './resnet18_tinyin100.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
