# 5,000 pictures of CIFAR-10 from scratch on a CPU, in minutes: the full recipe is that of configs/cifar.
_base_ = '../cifar/preresnet20_cifar10.py'

train_dataloader = dict(batch_size=32, num_workers=1)
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)
train_cfg = dict(max_epochs=6, val_interval=6)
optim_wrapper = dict(optimizer=dict(lr=0.1, nesterov=True, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, begin=1, end=6, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=32)
