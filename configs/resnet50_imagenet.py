_base_ = './_base_/imagenet_paper.py'
# Caffe's ResNet, with the stride in the first 1x1 convolution: the paper's 3.86 GFLOPs.
model = dict(backbone=dict(depth=50, style='caffe'))
