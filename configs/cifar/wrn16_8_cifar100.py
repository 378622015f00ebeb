_base_ = ['../_base_/cifar100.py', '../_base_/wide_resnet_cifar.py']
model = dict(head=dict(num_classes=100))
