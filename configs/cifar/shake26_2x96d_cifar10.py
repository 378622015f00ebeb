# With Cutout (DeVries and Taylor, arXiv 1708.04552): each picture loses a square of 16 pixels, filled with the mean.
_base_ = ['../_base_/cifar10.py', '../_base_/shake_cifar.py']

model = dict(head=dict(in_channels=384))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(32, 32)),
    dict(type='RandomCrop', crop_size=32, padding=4, pad_val=(114, 123, 125)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='Cutout', shape=16, pad_val=(114, 123, 125), prob=1.0),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.2))
