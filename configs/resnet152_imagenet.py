_base_ = './resnet50_imagenet.py'
model = dict(backbone=dict(depth=152))
