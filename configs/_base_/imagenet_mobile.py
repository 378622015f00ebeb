# The recipe of the paper for MobileNet and ShuffleNet (section 5.1): batch 256 (8 GPUs x 32), learning rate 0.1,
# divided by 10 when the validation stops improving, about 400 epochs, "slightly less aggressive data augmentation and
# regularisation". The weight decay of 4e-5 is of an earlier version of the paper (arXiv v2).
# Assumptions: crops of at least a quarter of the area; "stops improving" is 20 epochs without a better top-1.
_base_ = './imagenet.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.25, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=4e-5))
param_scheduler = dict(
    type='ReduceOnPlateauLR', by_epoch=True, monitor='accuracy/top1', rule='greater', factor=0.1, patience=20
)
auto_scale_lr = dict(base_batch_size=256)
custom_hooks = [dict(type='se_mm.SkippedDataHook', most=0.001)]
