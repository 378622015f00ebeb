_base_ = './_base_/places365.py'
model = dict(backbone=dict(depth=101))
