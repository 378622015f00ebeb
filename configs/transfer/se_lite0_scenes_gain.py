# SE that starts as the exact identity by a gain of 2.
_base_ = './se_lite0_scenes.py'
model = dict(backbone=dict(attention=dict(type='SELayer', start='gain')))
