_base_ = './wrn16_8_cifar100.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='se_mm.WideResNetCIFAR'))
