# Shake-Shake on CIFAR: Gastaldi, arXiv 1705.07485, section 3: 1,800 epochs with one cosine by iterations. The learning
# rates, batches and weight decays of the configs are those of the author's repository.
_base_ = './preresnet_cifar.py'

model = dict(backbone=dict(_delete_=True, type='se_mm.ShakeResNetCIFAR', depth=26, base_width=96))
train_cfg = dict(max_epochs=1800)
optim_wrapper = dict(optimizer=dict(nesterov=True))
param_scheduler = dict(
    _delete_=True, type='CosineAnnealingLR', by_epoch=True, T_max=1800, end=1800, eta_min=0, convert_to_iter_based=True
)
