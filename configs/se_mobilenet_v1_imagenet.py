_base_ = './mobilenet_v1_imagenet.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='timm.mobilenetv1_100'))
