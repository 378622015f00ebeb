# Pre-activation ResNets on CIFAR: He et al., arXiv 1603.05027, section 3 and appendix: 64,000 iterations of 128
# pictures, learning rate 0.1 (0.01 in the first 400 iterations), divided by 10 at 32,000 and 48,000.
_base_ = './scene_classifier.py'

model = dict(
    _delete_=True,
    type='ImageClassifier',
    backbone=dict(type='se_mm.PreActResNetCIFAR', depth=20),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=64,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5),
    ),
)
train_cfg = dict(by_epoch=True, max_epochs=164, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type='ConstantLR', factor=0.1, by_epoch=True, begin=0, end=1),
    dict(type='MultiStepLR', by_epoch=True, milestones=[82, 123], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=128)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))
