_base_ = './_base_/imagenet_paper.py'
model = dict(backbone=dict(_delete_=True, type='se_mm.BNInception'), head=dict(in_channels=1024))
