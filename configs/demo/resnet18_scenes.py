# Eight classes of scenes from scratch on a CPU, in minutes: small pictures, few epochs.
_base_ = '../_base_/scene_classifier.py'

data_root = 'data/scenes8/'
classes = (
    'airport',
    'auditorium',
    'bedroom',
    'campus',
    'desert',
    'football_stadium',
    'landscape',
    'rainforest',
)
model = dict(
    data_preprocessor=dict(num_classes=8),
    backbone=dict(depth=18, zero_init_residual=False),
    head=dict(
        num_classes=8,
        in_channels=512,
        loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
)

# Small pictures for most of the training, larger ones at its end, still larger ones in the test: a random crop shows
# its objects larger than the whole picture does.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=80, crop_ratio_range=(0.35, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
last_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=112, crop_ratio_range=(0.35, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
custom_hooks = [dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=19, train_pipeline=last_train_pipeline)])]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=144, edge='short'),
    dict(type='CenterCrop', crop_size=144),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        metainfo=dict(classes=classes),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='val',
        metainfo=dict(classes=classes),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=10)
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.04, momentum=0.9, nesterov=True, weight_decay=1e-3),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=2, end=30, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(logger=dict(interval=35), checkpoint=dict(max_keep_ckpts=1))
