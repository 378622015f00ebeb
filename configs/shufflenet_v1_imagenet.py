_base_ = './_base_/imagenet_mobile.py'
model = dict(backbone=dict(_delete_=True, type='mmpretrain.ShuffleNetV1', groups=3), head=dict(in_channels=960))
