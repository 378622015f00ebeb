_base_ = './_base_/imagenet_paper_299.py'
model = dict(backbone=dict(_delete_=True, type='se_mm.TimmInceptionResNetV2'), head=dict(in_channels=1536))
