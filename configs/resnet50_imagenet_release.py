_base_ = './_base_/imagenet_release.py'
model = dict(backbone=dict(depth=50, style='caffe'))
