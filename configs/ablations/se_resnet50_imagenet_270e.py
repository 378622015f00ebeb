# Without biases, as all ablations of the paper; hidden widths are C // r, as in its release.
_base_ = './resnet50_imagenet_270e.py'
model = dict(backbone=dict(type='se_mm.SEResNet', attention=dict(type='SELayer', reduction=16, bias=False, divisor=1)))
