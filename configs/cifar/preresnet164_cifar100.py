_base_ = ['../_base_/cifar100.py', '../_base_/preresnet_cifar.py']
model = dict(backbone=dict(depth=164, bottleneck=True), head=dict(in_channels=256, num_classes=100))
