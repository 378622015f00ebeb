# The same weights, with SE that starts as the exact identity: the convolutions behind the gates are doubled.
_base_ = './lite0_scenes.py'
model = dict(backbone=dict(attention_stages=None))
