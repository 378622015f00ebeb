_base_ = './shufflenet_v1_imagenet.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='mmpretrain.ShuffleNetV1'))
