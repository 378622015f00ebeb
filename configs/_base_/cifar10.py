# CIFAR-10: 50,000 + 10,000 pictures of 32 x 32 in 10 classes, from the official archive (downloaded where it is
# missing), or from train/<class>/ and val/<class>/ by --data-root.
data_root = 'data/cifar10/'
data_preprocessor = dict(mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7], to_rgb=True)
# Flip and a crop of a picture that is padded by 4 pixels of the mean, as where it is normalised first and padded with
# zeros (section 5.1 of the paper); pad_val is BGR, as the pictures are before they are normalised.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(32, 32)),
    dict(type='RandomCrop', crop_size=32, padding=4, pad_val=(114, 123, 125)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='se_mm.CIFAR10', data_root=data_root, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='se_mm.CIFAR10', data_root=data_root, split='test', pipeline=test_pipeline, test_mode=True),
)
test_dataloader = val_dataloader
