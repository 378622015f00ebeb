# A tenth of the learning rate for the gates.
_base_ = './se_lite0_scenes.py'
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'.se.': dict(lr_mult=0.1)}))
