_base_ = './inception_v3_imagenet.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='timm.inception_v3'))
