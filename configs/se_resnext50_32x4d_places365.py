_base_ = './_base_/places365.py'
model = dict(backbone=dict(type='se_mm.SEResNeXt', depth=50, groups=32, base_width=4))
