# The ImageNet recipe of the paper (section 5.1): crops of random area and shape, flips, batch 1024, a learning rate
# of 0.6 that is divided by 10 after each 30 of 100 epochs, He's initialisation.
# Assumptions: the weight decay, which the paper does not give, is the usual 1e-4; pixels are divided by their
# deviation as well, which the first norm takes back. Norms are not synchronised over the 8 GPUs.
_base_ = './imagenet.py'

model = dict(backbone=dict(zero_init_residual=False))
train_dataloader = dict(batch_size=128)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.6, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[30, 60, 90], gamma=0.1)
auto_scale_lr = dict(base_batch_size=1024)
custom_hooks = [dict(type='se_mm.SkippedDataHook', most=0.001)]
