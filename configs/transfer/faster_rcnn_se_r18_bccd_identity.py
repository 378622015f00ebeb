# The same plain weights in an SE network, which starts equal to the plain one.
_base_ = './faster_rcnn_r18_bccd_pretrained.py'
model = dict(backbone=dict(type='se_mm.SEResNet'))
