_base_ = './inception_resnet_v2_imagenet.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='timm.inception_resnet_v2'))
