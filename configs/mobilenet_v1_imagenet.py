_base_ = './_base_/imagenet_mobile.py'
model = dict(backbone=dict(_delete_=True, type='se_mm.TimmMobileNetV1'), head=dict(in_channels=1024))
