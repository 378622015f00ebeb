# SENet-154 (the paper's appendix): batch 2048 (64 GPUs x 32), learning rate 1.0, dropout before the classifier, label
# smoothing, and norms that keep their statistics in the last epochs.
# Assumptions: the epochs and their steps are those of section 5.1, "the last few epochs" are 5, weight decay 1e-4.
# attention_stages=() in the backbone is the plain network.
_base_ = './_base_/imagenet_paper.py'
model = dict(
    backbone=dict(type='se_mm.SENet', depth=154, stem_pool='caffe'),
    head=dict(
        type='se_mm.DropoutHead',
        dropout=0.2,
        loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
)
train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=1.0))
auto_scale_lr = dict(base_batch_size=2048)
custom_hooks = [
    dict(type='se_mm.SkippedDataHook', most=0.001),
    dict(type='se_mm.FrozenNormsHook', num_last_epochs=5),
]
