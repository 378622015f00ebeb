_base_ = './_base_/places365.py'
model = dict(backbone=dict(depth=18), head=dict(in_channels=512))
