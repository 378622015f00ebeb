# Wide ResNets on CIFAR: Zagoruyko and Komodakis, arXiv 1605.07146, section 3.
_base_ = './preresnet_cifar.py'

model = dict(backbone=dict(type='se_mm.WideResNetCIFAR', depth=16, widen_factor=8), head=dict(in_channels=512))
train_cfg = dict(max_epochs=200)
optim_wrapper = dict(optimizer=dict(nesterov=True, weight_decay=5e-4))
param_scheduler = dict(_delete_=True, type='MultiStepLR', by_epoch=True, milestones=[60, 120, 160], gamma=0.2)
