_base_ = './shake26_2x96d_cifar10.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='se_mm.ShakeResNetCIFAR'))
