# The same weights, with SE that starts as the exact identity: the convolutions behind the gates are doubled.
_base_ = './lite0_scenes.py'
model = dict(backbone=dict(_delete_=True, type='se_mm.SETwin', host='timm.tf_efficientnet_lite0', out_indices=(5,)))
