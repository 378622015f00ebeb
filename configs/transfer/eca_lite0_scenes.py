# ECALayer that starts as the exact identity by a gain.
_base_ = './se_lite0_scenes.py'
model = dict(backbone=dict(attention=dict(type='ECALayer', start='gain')))
