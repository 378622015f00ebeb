_base_ = './preresnet110_cifar100.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='se_mm.PreActResNetCIFAR'))
