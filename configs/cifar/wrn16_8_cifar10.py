_base_ = ['../_base_/cifar10.py', '../_base_/wide_resnet_cifar.py']
