_base_ = './resnet50_imagenet_rsb_a2.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='mmpretrain.ResNet'))
