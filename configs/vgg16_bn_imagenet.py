_base_ = './_base_/imagenet_paper.py'
# The classifier's three linear layers are part of the network.
model = dict(
    backbone=dict(_delete_=True, type='mmpretrain.VGG', depth=16, norm_cfg=dict(type='BN'), num_classes=1000),
    neck=None,
    head=dict(_delete_=True, type='ClsHead', loss=dict(type='CrossEntropyLoss', loss_weight=1.0), topk=(1, 5)),
)
