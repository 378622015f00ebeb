_base_ = './bninception_imagenet.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='se_mm.BNInception'))
