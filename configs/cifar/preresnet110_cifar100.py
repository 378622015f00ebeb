_base_ = ['../_base_/cifar100.py', '../_base_/preresnet_cifar.py']
model = dict(backbone=dict(depth=110), head=dict(num_classes=100))
