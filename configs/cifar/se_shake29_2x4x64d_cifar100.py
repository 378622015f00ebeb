_base_ = './shake29_2x4x64d_cifar100.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='se_mm.ShakeResNeXtCIFAR'))
