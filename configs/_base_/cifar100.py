# CIFAR-100: as CIFAR-10, with 100 classes and its own statistics.
_base_ = './cifar10.py'

data_root = 'data/cifar100/'
data_preprocessor = dict(mean=[129.3, 124.1, 112.4], std=[68.2, 65.4, 70.4])
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(32, 32)),
    dict(type='RandomCrop', crop_size=32, padding=4, pad_val=(112, 124, 129)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(type='se_mm.CIFAR100', data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='se_mm.CIFAR100', data_root=data_root))
test_dataloader = val_dataloader
