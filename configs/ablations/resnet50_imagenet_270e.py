# The recipe of the paper's ablations (section 6, with the fixed schedule of its footnote), and the plain network.
# Batch 256 (8 GPUs x 32) and weight decay 1e-4 are assumptions: the paper gives neither.
_base_ = '../_base_/imagenet.py'

# Caffe's ResNet, with the stride in the first 1x1 convolution: the paper's 3.86 GFLOPs.
model = dict(
    backbone=dict(depth=50, style='caffe', zero_init_residual=False),
    head=dict(loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
)
train_cfg = dict(by_epoch=True, max_epochs=270, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[125, 200, 250], gamma=0.1)
auto_scale_lr = dict(base_batch_size=256)
custom_hooks = [dict(type='se_mm.SkippedDataHook', most=0.001)]
