_base_ = './vgg16_bn_imagenet.py'
model = dict(backbone=dict(type='se_mm.SETwin', host='mmpretrain.VGG'))
