# The recipe of the authors' released weights (README of github.com/hujie-frank/SENet): batch 256, learning rate 0.1,
# crops of 8 % to 100 % of the area and 3/4 to 4/3 in shape, flips, rotation by up to 10 degrees, pixel jitter of 20.
# Assumptions: "more epochs" are the 270 of the paper's ablations, with their steps; weight decay 1e-4; the rotation
# follows the crop and fills the corners with the mean; the jitter is one number for a picture.
_base_ = './imagenet.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.08, 1.0), aspect_ratio_range=(3 / 4, 4 / 3)),
    dict(
        type='Rotate',
        magnitude_range=(0, 10),
        magnitude_std='inf',  # uniform
        prob=1.0,
        pad_val=(104, 116, 124),  # B, G, R
        interpolation='bilinear',
    ),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='se_mm.PixelJitter', delta=20),
    dict(type='PackInputs'),
]
model = dict(backbone=dict(zero_init_residual=False))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
train_cfg = dict(by_epoch=True, max_epochs=270, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[125, 200, 250], gamma=0.1)
auto_scale_lr = dict(base_batch_size=256)
custom_hooks = [dict(type='se_mm.SkippedDataHook', most=0.001)]
