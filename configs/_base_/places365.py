# Places365-Standard: 1.8 million pictures for training, 36,500 for validation.
_base_ = './scene_classifier.py'

data_root = 'data/places365/'
model = dict(backbone=dict(zero_init_residual=False))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
# The paper's protocol: the centre 224 x 224 of a picture that is resized to 256 x 256.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='se_mm.Places365', data_root=data_root, split='train-standard', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='se_mm.Places365', data_root=data_root, split='val', pipeline=test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader

# tools/test.py --tta: the ten crops that others report, with their scores averaged.
tta_model = dict(type='AverageClsScoreTTA')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256)),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='CenterCrop', crop_size=224),
                dict(type='se_mm.CornerCrop', crop_size=224, corner='top_left'),
                dict(type='se_mm.CornerCrop', crop_size=224, corner='top_right'),
                dict(type='se_mm.CornerCrop', crop_size=224, corner='bottom_left'),
                dict(type='se_mm.CornerCrop', crop_size=224, corner='bottom_right'),
            ],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0, direction='horizontal')],
            [dict(type='PackInputs')],
        ],
    ),
]

# The paper does not say how it trained on Places365. This is the standard recipe for ImageNet, and a choice:
# batch 256 (8 GPUs x 32), 90 epochs, the learning rate divided by 10 after each 30.
train_cfg = dict(by_epoch=True, max_epochs=90, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[30, 60], gamma=0.1)
auto_scale_lr = dict(base_batch_size=256)
custom_hooks = [dict(type='se_mm.SkippedDataHook', most=0.001)]
