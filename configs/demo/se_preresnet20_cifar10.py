_base_ = './preresnet20_cifar10.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='se_mm.PreActResNetCIFAR'))
