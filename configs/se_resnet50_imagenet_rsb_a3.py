_base_ = './resnet50_imagenet_rsb_a3.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='mmpretrain.ResNet'))
