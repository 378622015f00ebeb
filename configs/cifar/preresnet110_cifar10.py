_base_ = ['../_base_/cifar10.py', '../_base_/preresnet_cifar.py']
model = dict(backbone=dict(depth=110))
